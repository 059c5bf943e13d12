from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import msgspec
import pytest
from discord import RateLimited

from channels.discord import failures
from channels.discord.channel import Discord
from opencraw.contract import Choice, Option
from opencraw.errors import MaybeSent, NeverSendable, NotSent, Unavailable
from tests.channels.discord.opened import Told, delivery, opened
from tests.fakes import discord as fake
from tests.fakes import discord_objects as objects
from tests.fixtures.core import until


@pytest.fixture
async def discord() -> AsyncIterator[fake.Discord]:
    async with fake.Discord() as discord:
        yield discord


@pytest.fixture
async def channel(discord: fake.Discord) -> AsyncIterator[Discord]:
    async with opened(discord) as channel:
        yield channel


def texts(channel: fake.Channel) -> list[str]:
    return [each["content"] for each in channel.messages.values()]


async def test_an_answer_reaches_a_person_who_never_wrote_to_this_process(
    discord: fake.Discord, channel: Discord
) -> None:
    told = Told()
    await channel.send(delivery("Hello.", chat=f"@{discord.person('a')}"), told)
    place = discord.direct(discord.person("a"))
    assert texts(place) == ["Hello."]
    assert told.parts == [*place.messages]


async def test_a_long_answer_arrives_in_parts_and_nobody_is_pinged(
    discord: fake.Discord, channel: Discord
) -> None:
    text = "\n\n".join(f"Paragraph {number} for @everyone. " * 20 for number in range(10))
    told = Told()
    await channel.send(delivery(text, chat=discord.group("#den")), told)
    place = discord.channels[discord.group("#den")]
    assert told.parts == [*place.messages]
    assert len(told.parts) > 2
    assert all(len(each) <= 2000 for each in texts(place))
    bodies = [body for method, path, body in discord.requests if path.endswith("/messages")]
    assert all(body["allowed_mentions"] == {"parse": []} for body in bodies)


async def test_the_next_attempt_begins_behind_the_parts_that_are_there(
    discord: fake.Discord, channel: Discord
) -> None:
    text = "\n\n".join(f"{number} " * 400 for number in range(6))
    chat = discord.group("#den")
    told = Told()
    await channel.send(delivery(text, chat=chat), told)
    again = Told()
    await channel.send(delivery(text, chat=chat, parts=tuple(told.parts[:-1])), again)
    assert len(again.parts) == 1
    assert texts(discord.channels[chat])[-1] == texts(discord.channels[chat])[-2]


async def test_a_second_attempt_within_minutes_leaves_one_copy(
    discord: fake.Discord, channel: Discord
) -> None:
    one = delivery("Perhaps.", chat=discord.group("#den"))
    discord.faults.append(fake.Fault("lost_answer"))
    with pytest.raises(MaybeSent):
        await channel.send(one, Told())
    told = Told()
    await channel.send(one, told)
    place = discord.channels[discord.group("#den")]
    assert told.parts == [*place.messages]
    assert len(place.messages) == 1


async def test_an_attempt_after_the_key_is_forgotten_looks_first(
    discord: fake.Discord, channel: Discord
) -> None:
    one = delivery("Perhaps.", chat=discord.group("#den"), age=600)
    discord.faults.append(fake.Fault("lost_answer"))
    with pytest.raises(MaybeSent):
        await channel.send(one, Told())
    place = discord.channels[discord.group("#den")]
    place.keys.clear()
    told = Told()
    await channel.send(msgspec.structs.replace(one, recovered=True), told)
    assert told.parts == [*place.messages]
    assert len(place.messages) == 1


async def test_a_lively_channel_hides_nothing_from_who_looks(
    discord: fake.Discord, channel: Discord
) -> None:
    place = discord.channels[discord.group("#den")]
    one, told = delivery("Perhaps.", chat=place.id, age=600), Told()
    for _ in range(120):
        await discord.say(place, discord.person("a"), "Before it was sent.")
    await channel.send(one, told)
    place.keys.clear()
    for _ in range(120):
        await discord.say(place, discord.person("a"), "Afterwards.")
    discord.odd = [{"id": "1", "author": "nobody"}]
    again = Told()
    await channel.send(msgspec.structs.replace(one, recovered=True), again)
    assert again.parts == told.parts
    assert texts(place).count("Perhaps.") == 1


async def test_a_first_draft_that_is_put_again_is_there_once_for_each_turn(
    discord: fake.Discord, channel: Discord
) -> None:
    place = discord.channels[discord.group("#den")]
    turn, surface = uuid4(), channel._outbound.surface(delivery("", chat=place.id).address)
    drafts = [await surface.put(each, "Hel", "") for each in (turn, turn, uuid4())]
    assert len(place.messages) == 2
    assert drafts[0] == drafts[1] != drafts[2]


@pytest.mark.parametrize("drawn", [True, False])
async def test_a_draft_of_which_nobody_knows_becomes_the_answer_if_it_is_there(
    discord: fake.Discord, channel: Discord, drawn: bool
) -> None:
    place, turn = discord.channels[discord.group("#den")], uuid4()
    one = delivery("Hello, and more.", chat=place.id, draft=None, ends=turn)
    surface = channel._outbound.surface(one.address)
    if drawn:
        await surface.put(turn, "Hel", "")
    told = Told()
    await channel.send(one, told)
    # Should it come after all, it is not made.
    await surface.put(turn, "Hello,", "")
    assert (texts(place), told.parts) == (["Hello, and more."], [*place.messages])


async def test_a_draft_whose_key_is_forgotten_is_found_by_how_its_answer_begins(
    discord: fake.Discord, channel: Discord
) -> None:
    place, turn = discord.channels[discord.group("#den")], uuid4()
    earlier, told = Told(), Told()
    await channel.send(delivery("**Hello there.**", chat=place.id), earlier)
    text = "**Hello there. All is well.**"
    one = delivery(text, chat=place.id, age=600, draft=None, ends=turn)
    await channel._outbound.surface(one.address).put(turn, "**Hello there. All**", "")
    place.keys.clear()
    await channel.send(msgspec.structs.replace(one, others=tuple(earlier.parts)), told)
    assert texts(place) == ["**Hello there.**", text]
    assert [*earlier.parts, *told.parts] == [*place.messages]


async def test_answers_that_waited_out_an_outage_and_say_the_same_all_arrive(
    discord: fake.Discord, channel: Discord
) -> None:
    place = discord.channels[discord.group("#den")]
    first, second = Told(), Told()
    await channel.send(delivery("Done.", chat=place.id, age=300), first)
    await channel.send(delivery("Done.", chat=place.id, age=300), second)
    assert [*first.parts, *second.parts] == [*place.messages]
    assert texts(place) == ["Done.", "Done."]


async def test_an_answer_that_may_have_arrived_is_not_found_in_another_one(
    discord: fake.Discord, channel: Discord
) -> None:
    place = discord.channels[discord.group("#den")]
    first, second = Told(), Told()
    await channel.send(delivery("Done.", chat=place.id, age=300), first)
    lost = delivery("Done.", chat=place.id, age=300)
    lost = msgspec.structs.replace(lost, recovered=True, others=tuple(first.parts))
    await channel.send(lost, second)
    assert [*first.parts, *second.parts] == [*place.messages]
    assert texts(place) == ["Done.", "Done."]


async def test_a_part_that_was_never_tried_is_not_found_in_the_one_before_it(
    discord: fake.Discord, channel: Discord
) -> None:
    place = discord.channels[discord.group("#den")]
    same = "word " * 300
    lost = delivery(f"{same}\n\n{same}", chat=place.id, age=300)
    told = Told()
    await channel.send(msgspec.structs.replace(lost, recovered=True), told)
    assert told.parts == [*place.messages]
    assert len(place.messages) == 2


async def test_what_others_wrote_is_not_taken_for_ours(
    discord: fake.Discord, channel: Discord
) -> None:
    place = discord.channels[discord.group("#den")]
    await discord.say(place, discord.person("a"), "Perhaps.")
    await channel.send(delivery("Perhaps.", chat=place.id, age=600), Told())
    assert texts(place) == ["Perhaps.", "Perhaps."]


async def test_a_draft_becomes_the_first_part_and_a_deleted_one_is_written_anew(
    discord: fake.Discord, channel: Discord
) -> None:
    place = discord.channels[discord.group("#den")]
    draft = objects.message(place.id, discord.bot, "Hel")
    place.messages[draft["id"]], place.versions[draft["id"]] = draft, []
    told = Told()
    await channel.send(delivery("Hello.", chat=place.id, draft=draft["id"]), told)
    assert (texts(place), told.parts) == (["Hello."], [draft["id"]])
    await channel.send(delivery("And more.", chat=place.id, draft=objects.snowflake()), told)
    assert texts(place) == ["Hello.", "And more."]


async def test_an_edit_of_a_draft_that_comes_late_changes_nothing_final(
    discord: fake.Discord, channel: Discord
) -> None:
    place = discord.channels[discord.group("#den")]
    one = delivery("Hello.", chat=place.id)
    surface = channel._outbound.surface(one.address)
    draft = await surface.put(uuid4(), "Hel", "")
    discord.drafts_may_change.clear()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await surface.change(draft, "Hell")
    told = Told()
    await channel.send(msgspec.structs.replace(one, draft=draft), told)
    discord.drafts_may_change.set()
    await until(lambda: not discord._late, "the late edit")
    assert texts(place) == ["Hello."]
    assert told.parts == [*place.messages] != [draft]


async def test_in_a_server_the_answered_message_is_named(
    discord: fake.Discord, channel: Discord
) -> None:
    place = discord.channels[discord.group("#den")]
    question = await discord.say(place, discord.person("a"), "What?")
    await channel.send(delivery("This.", chat=place.id, reply_context=question), Told())
    [answer] = discord.shown(place)
    assert answer["message_reference"]["message_id"] == question
    assert answer["message_reference"]["fail_if_not_exists"] is False


async def test_in_a_server_a_draft_names_the_answered_message_before_it_is_the_answer(
    discord: fake.Discord, channel: Discord
) -> None:
    place = discord.channels[discord.group("#den")]
    question = await discord.say(place, discord.person("a"), "What?")
    one = delivery("This.", chat=place.id, reply_context=question)
    draft = await channel._outbound.surface(one.address).put(uuid4(), "Thi", question)
    await channel.send(msgspec.structs.replace(one, draft=draft), Told())
    [answer] = discord.shown(place)
    assert (answer["id"], answer["content"]) == (draft, "This.")
    assert answer["message_reference"]["message_id"] == question


async def test_a_thread_is_written_to_and_not_its_channel(
    discord: fake.Discord, channel: Discord
) -> None:
    den = discord.channels[discord.group("#den")]
    thread = discord.open_thread(den.id, "aside")
    await channel.send(delivery("Here.", chat=den.id, thread=thread.id), Told())
    assert (texts(thread), texts(den)) == (["Here."], [])


async def test_a_question_has_buttons_until_it_is_edited(
    discord: fake.Discord, channel: Discord
) -> None:
    place = discord.channels[discord.group("#den")]
    choice = Choice(uuid4(), (Option("yes", "Let in"), Option("no", "Refuse")))
    one = delivery("Let them in?", chat=place.id, choice=choice)
    await channel.send(one, Told())
    [shown] = discord.shown(place)
    [row] = shown["components"]
    assert [each["label"] for each in row["components"]] == ["Let in", "Refuse"]
    assert [each["custom_id"] for each in row["components"]] == [
        f"oc:yes:{choice.id}", f"oc:no:{choice.id}"
    ]  # fmt: skip
    await channel.edit(one.address, shown["id"], "Let in.")
    assert (shown["content"], shown["components"]) == ("Let in.", [])


async def test_a_short_wish_to_wait_is_granted_at_once(
    discord: fake.Discord, channel: Discord
) -> None:
    place = discord.channels[discord.group("#den")]
    discord.faults.append(fake.Fault("rate_limited", retry_after=0.05))
    discord.faults.append(fake.Fault("rate_limited", retry_after=0.05, shape="global"))
    await channel.send(delivery("Patience.", chat=place.id), Told())
    assert texts(place) == ["Patience."]


@pytest.mark.parametrize("shape", ["", "cloudflare"])
async def test_a_long_wish_to_wait_is_for_the_outbox(
    discord: fake.Discord, channel: Discord, shape: str
) -> None:
    discord.faults.append(fake.Fault("rate_limited", retry_after=65.5, shape=shape))
    with pytest.raises(NotSent) as failed:
        await channel.send(delivery("Later.", chat=discord.group("#den")), Told())
    assert failed.value.retry_after == 65.5


@pytest.mark.parametrize(("said", "seconds"), [
    ("0", 0.0), ("-3", 0.0), ("1e12", 3600.0), ("inf", 3600.0), ("nan", 600.0), ("soon", 600.0),
])  # fmt: skip
async def test_a_wish_to_wait_has_its_limits(
    discord: fake.Discord, channel: Discord, said: str, seconds: float
) -> None:
    discord.faults.append(fake.Fault("rate_limited", retry_after=said, shape="cloudflare"))
    with pytest.raises(NotSent) as failed:
        await channel.send(delivery("Later.", chat=discord.group("#den")), Told())
    assert failed.value.retry_after == seconds


def test_a_limit_of_the_librarys_has_them_too() -> None:
    failure = failures.of_delivery(RateLimited(1e12))
    assert isinstance(failure, NotSent)
    assert failure.retry_after == 3600.0
    away = failures.of_call(RateLimited(1e12))
    assert isinstance(away, Unavailable)
    assert away.retry_after == 3600.0


async def test_whoever_gives_up_while_everybody_waits_lets_the_others_go_on(
    discord: fake.Discord, channel: Discord
) -> None:
    discord.faults.append(fake.Fault("rate_limited", retry_after=20, shape="global"))
    first = asyncio.create_task(
        channel.send(delivery("Never.", chat=discord.group("#den")), Told())
    )
    while not discord.requests or not discord.requests[-1][1].endswith("/messages"):
        await asyncio.sleep(0.01)
    while channel._rest._open is None or channel._rest._open.http._global_over.is_set():
        await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.wait([first])
    async with asyncio.timeout(5):
        await channel.send(delivery("Soon.", chat=discord.group("#street")), Told())


async def test_what_will_never_be_taken_says_what_to_do(
    discord: fake.Discord, channel: Discord
) -> None:
    discord.faults.append(fake.Fault("refused"))
    with pytest.raises(NeverSendable, match="Send Messages"):
        await channel.send(delivery("No.", chat=discord.group("#den")), Told())
    with pytest.raises(NeverSendable, match="does not exist"):
        await channel.send(delivery("No.", chat="123"), Told())


async def test_a_void_token_is_no_reason_to_give_a_message_up(
    discord: fake.Discord, channel: Discord
) -> None:
    await discord.void_token()
    with pytest.raises(NotSent, match="Reset Token"):
        await channel.send(delivery("No.", chat=discord.group("#den")), Told())


async def test_an_api_out_of_reach_certainly_took_nothing(discord: fake.Discord) -> None:
    async with fake.Discord() as elsewhere, opened(elsewhere) as channel:
        pass
    async with opened(elsewhere) as channel:
        with pytest.raises(NotSent, match="cannot be reached"):
            await channel.send(delivery("No.", chat="123"), Told())


async def test_an_answer_without_a_word_is_nothing_to_send(
    discord: fake.Discord, channel: Discord
) -> None:
    told = Told()
    await channel.send(delivery("", chat=discord.group("#den")), told)
    assert told.parts == []
