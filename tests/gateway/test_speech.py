"""Where the assistant may speak."""

from __future__ import annotations

import asyncio

import pytest

from opencraw.contract import ChatType, Rights
from opencraw.errors import Refused
from opencraw.sessions.send_policy import SendRule
from tests.fixtures.core import Core, address, envelope, is_whole, running, session_of, until
from tests.fixtures.mailbox import Mailbox
from tests.fixtures.script import Held, Script

NO_GROUPS = SendRule(action="deny", chat_type="group")


def prompts(core: Core) -> int:
    assert isinstance(core.script, Script)
    return len(core.script.prompts)


async def at_rest(core: Core) -> None:
    """Everything that could still be said would have been said by now: another chat was answered
    after it, and nothing is open."""
    await core.asked("/status", "the last word")
    await core.settled()
    await is_whole(core.database)


@pytest.mark.parametrize(
    "rule",
    [
        NO_GROUPS,
        SendRule(action="deny", channel="test", chat_type="group"),
        SendRule(action="deny", session="default/main/test/account/a/"),
    ],
    ids=["chat type", "channel and chat type", "session"],
)
async def test_a_message_is_kept_and_not_answered(database_url: str, rule: SendRule) -> None:
    async with running(database_url, speech=[rule]) as core:
        said = envelope("hello?", chat_type=ChatType.GROUP)
        receipt = await core.door.accept(said)
        assert receipt.muted
        assert not receipt.duplicate
        again = await core.door.accept(said)
        assert (again.message_id, again.duplicate) == (receipt.message_id, True)
        assert (await core.asked("hello", "b")).text == "echo hello"
        await at_rest(core)
        assert await core.outcomes() == [("hello?", "muted")]
        assert core.channel.texts() == []
        assert prompts(core) == 1
        assert not await core.reader.waiting(address())
        [session] = await core.fetch("SELECT chat_type FROM session WHERE id = $1", session_of())
        assert session["chat_type"] == "group"


@pytest.mark.parametrize("command", ["/help", "/status", "/new", "/queue collect", "/send on"])
async def test_a_command_is_not_answered_there_and_does_nothing(
    database_url: str, command: str
) -> None:
    async with running(database_url, speech=[NO_GROUPS]) as core:
        assert (await core.say(command, chat_type=ChatType.GROUP)).muted
        await at_rest(core)
        assert core.channel.texts() == []
        assert await core.outcomes() == [(command, "muted")]
        session = await core.sessions.session(session_of())
        assert session is not None
        assert (session.choice.mode, session.sends) == (None, None)


async def test_the_assistant_does_not_speak_first_where_it_may_not_speak(
    database_url: str,
) -> None:
    rule = SendRule(action="deny", session="default/main/test/account/a/")
    async with running(database_url, speech=[rule], start=False) as core:
        with pytest.raises(Refused, match=r"may not speak there: queue\.send_policy") as refused:
            await core.opened.notices.post(address(), "default", "hello")
        assert refused.value.code == "FORBIDDEN"
        assert await core.fetch("SELECT FROM outbox") == []
        await core.opened.notices.post(address("b"), "default", "hello")


async def test_the_assistant_does_not_speak_first_where_nobody_knows_who_listens(
    database_url: str,
) -> None:
    async with running(database_url, speech=[NO_GROUPS]) as core:
        with pytest.raises(Refused, match="who listens there is not known") as refused:
            await core.opened.notices.post(address(), "default", "hello")
        assert refused.value.code == "FORBIDDEN"
        assert 'deny chat_type = "group"' in str(refused.value)
        await core.asked("/help")
        await core.opened.notices.post(address(), "default", "hello")
        await core.delivered(2)
        await at_rest(core)


@pytest.mark.parametrize("first", ["hello", "/help"])
async def test_who_opened_a_conversation_does_not_say_who_listens(
    database_url: str, first: str
) -> None:
    """The daemon spoke first, or the conversation is older than such rules."""
    async with running(database_url, start=False) as core:
        await core.opened.notices.post(address(), "default", "hello")
        [row] = await core.fetch("SELECT chat_type FROM session")
        assert row["chat_type"] is None
    async with running(database_url, speech=[NO_GROUPS]) as core:
        await at_rest(core)
        [row] = await core.fetch("SELECT failure FROM outbox WHERE chat = 'a'")
        assert "who listens there is not known" in row["failure"]
    async with running(database_url, start=False) as core:
        await core.say(first, chat_type=ChatType.GROUP)
        [row] = await core.fetch("SELECT chat_type FROM session WHERE chat = 'a'")
        assert row["chat_type"] == "group"
    async with running(database_url, speech=[NO_GROUPS]) as core:
        with pytest.raises(Refused, match='has `deny chat_type = "group"`\\. Nothing was sent'):
            await core.opened.notices.post(address(), "default", "hello")
        await at_rest(core)
        assert core.channel.texts() == []


async def test_what_is_on_its_way_already_is_not_sent(database_url: str) -> None:
    """Rules came with a restart; what was written under the old ones is still there."""
    async with running(database_url, start=False) as core:
        await core.say("/help", chat_type=ChatType.GROUP)
        await core.say("/help", "b")
    async with running(database_url, speech=[NO_GROUPS]) as core:
        await core.delivered(1, "b")
        await core.settled()
        assert core.channel.texts() == []
        rows = await core.fetch("SELECT chat, state, failure FROM outbox ORDER BY chat")
        assert [row["state"] for row in rows] == ["dead", "sent"]
        assert rows[0]["failure"] == (
            'the assistant may not speak there: queue.send_policy has `deny chat_type = "group"`'
        )


async def test_a_turn_that_ran_when_the_rule_came_says_nothing(database_url: str) -> None:
    held = Held()
    async with running(database_url, held) as core:
        await core.say("hello", chat_type=ChatType.GROUP)
        await held.reached.wait()
    mailbox = Mailbox()
    async with running(database_url, channel=mailbox, speech=[NO_GROUPS]) as core:
        await core.settled()
        await is_whole(core.database)
        assert mailbox.got == []
        [row] = await core.fetch("SELECT state FROM outbox")
        assert row["state"] == "dead"


# What the people of a conversation choose.


async def test_off_keeps_messages_without_an_answer_until_on(database_url: str) -> None:
    async with running(database_url) as core:
        assert "silent here" in (await core.asked("/send off")).text
        said = envelope("hello?")
        receipt = await core.door.accept(said)
        assert receipt.muted
        assert (await core.door.accept(said)).duplicate
        assert "here: off." in (await core.asked("/send")).text, "commands are answered"
        assert (await core.asked("hello", "b")).text == "echo hello"
        await core.asked("/send on")
        assert (await core.asked("and now?")).text == "echo and now?"
        await at_rest(core)
        assert ("hello?", "muted") in await core.outcomes()
        assert isinstance(core.script, Script)
        assert [each.text for each in core.script.prompts[-1].messages] == ["and now?"]


async def test_off_holds_from_the_very_next_message_on_every_node(database_url: str) -> None:
    async with running(database_url) as one, running(database_url, start=False) as two:
        await two.say("hello", "a")
        await until(lambda: one.channel.texts() == ["echo hello"])
        await one.asked("/send off")
        assert (await two.say("are you there?")).muted
        await one.asked("/send inherit")
        assert not (await two.say("and now?")).muted
        await until(lambda: one.channel.texts()[-1] == "echo and now?")


async def test_many_messages_in_one_flush_each_follow_their_own_conversation(
    database_url: str,
) -> None:
    async with running(database_url, start=False) as core:
        await core.say("/send off", "quiet")
        receipts = await asyncio.gather(
            *(core.say(str(number), ("quiet", "loud")[number % 2]) for number in range(20))
        )
        assert [receipt.muted for receipt in receipts] == [True, False] * 10


async def test_a_message_that_is_not_answered_does_not_wait(database_url: str) -> None:
    async with running(database_url, start=False) as core:
        await core.say("/send off")
        await core.say("hello?")
        assert core.dispatcher.waiting(session_of()) == 0


async def test_what_was_accepted_before_off_is_answered(database_url: str) -> None:
    held = Held()
    async with running(database_url, held) as core:
        await core.say("hello")
        await held.reached.wait()
        await core.say("/send off")
        held.release()
        await core.delivered(2)
        assert "released" in core.channel.texts()
        await at_rest(core)


async def test_a_guest_cannot_silence_the_assistant(database_url: str) -> None:
    async with running(database_url) as core:
        await core.say("/send off", rights=Rights.GUEST)
        assert "Only the owner" in (await core.delivered(1))[0]
        assert not (await core.say("hello")).muted
        await core.delivered(2)


async def test_nobody_posts_where_people_told_the_assistant_to_be_silent(
    database_url: str,
) -> None:
    async with running(database_url, start=False) as core:
        await core.say("/send off")
        with pytest.raises(Refused, match="told to be silent"):
            await core.opened.notices.post(address(), "default", "hello")


async def test_on_does_not_speak_where_a_rule_denies(database_url: str) -> None:
    async with running(database_url, start=False) as core:
        await core.say("/send on", chat_type=ChatType.GROUP)
    async with running(database_url, speech=[NO_GROUPS], start=False) as core:
        assert (await core.say("hello", chat_type=ChatType.GROUP)).muted


@pytest.mark.parametrize("first", ["hello", "/help"])
async def test_a_conversation_knows_who_listens_whatever_opened_it(
    database_url: str, first: str
) -> None:
    async with running(database_url, start=False) as core:
        await core.say(first, chat_type=ChatType.CHANNEL)
        [row] = await core.fetch("SELECT chat_type FROM session")
        assert row["chat_type"] == "channel"
