"""Strangers at the door, and what owners say to them. What costs nothing is counted."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from opencraw.access.pairing import Word
from opencraw.contract import DEFAULT_TENANT, Address, ChatType, Listener, Rights, Sender
from opencraw.errors import MaybeSent, NeverSendable, NotSent, Refused
from opencraw.sessions.identity import Links
from opencraw.sessions.keys import Conversations
from opencraw.sessions.send_policy import SendRule
from opencraw.settings import AccessSettings
from tests.fixtures.core import Core, running, until
from tests.fixtures.people import (
    PAIRING,
    admitted,
    code_in,
    knocks,
    refusal,
    says,
    talks,
    welcomed,
)

ACCESS = {"test": PAIRING}
_TRACES = """
    SELECT (SELECT count(*) FROM session) AS sessions, (SELECT count(*) FROM inbox) AS messages,
           (SELECT count(*) FROM turn) AS turns, (SELECT count(*) FROM outbox) AS deliveries,
           (SELECT count(*) FROM attachment) AS files, (SELECT count(*) FROM pairing) AS requests
"""


async def traces(core: Core) -> tuple[int, ...]:
    [row] = await core.fetch(_TRACES)
    return tuple(row)


async def told(core: Core) -> bool:
    return bool(await core.fetch("SELECT FROM pairing WHERE told_at IS NOT NULL"))


async def test_a_stranger_gets_one_notice_and_costs_one_row(database_url: str) -> None:
    async with running(database_url, access=ACCESS) as core:
        code = await knocks(core, "anna")
        await until(lambda: told(core), "the notice is noted")
        for _ in range(5):
            assert await refusal(core, says("hello?", "anna")) == "pending_approval_required"
        await core.settled()
        assert await traces(core) == (0, 0, 0, 0, 0, 1)
        [notice] = core.channel.texts("anna")
        assert f"opencraw pairing approve {code}" in notice
        assert f"/pair approve {code}" in notice


async def test_where_everybody_is_heard_nobody_is_sent_away(database_url: str) -> None:
    access = {"test": AccessSettings(mode="open", owners=["boss"])}
    async with running(database_url, access=access) as core:
        with pytest.raises(Refused, match=r"choose another channels\.test\.access\.mode"):
            await core.opened.entrance.strangers.revoke("test", "anna", None, "ops")


async def test_where_nobody_is_the_owner_the_first_stranger_learns_how_to_be_it(
    database_url: str,
) -> None:
    async with running(database_url, access={"test": AccessSettings()}) as core:
        code = await knocks(core, "anna")
        [notice] = core.channel.texts("anna")
        assert f"`opencraw pairing approve {code} --owner`" in notice
        await core.opened.entrance.strangers.resolve(code, Word("api", Rights.GUEST))
        await until(lambda: len(core.channel.texts("anna")) == 2, "the welcome")
        assert "Nobody is the owner on test yet" in await talks(core, "anna", "/whoami")
        await core.opened.entrance.strangers.resolve(code, Word("api", Rights.OWNER))
        assert "rights: owner" in await talks(core, "anna", "/whoami")
        other = await knocks(core, "ben")
        # What was to be done before that is done.
        welcomes = [
            each for each in core.channel.texts("anna") if each.startswith("You are let in")
        ]
        assert len(welcomes) == 1
        [notice] = core.channel.texts("ben")
        assert f"`opencraw pairing approve {other}`" in notice
        assert "--owner" not in notice


async def test_whoever_knows_the_code_gives_us_nothing_more_to_do(database_url: str) -> None:
    async with running(database_url, access=ACCESS, start=False) as core:
        await admitted(core, says("hello", "anna"))
        errands = core.opened.entrance._errands._waiting
        assert errands.qsize() == 1, "telling the code"
        await core.database.commit(
            "UPDATE pairing SET told_at = now() FROM unnest($1::boolean[])"
            " WITH ORDINALITY AS row(all_of_them, ord) RETURNING row.ord",
            (True,),
        )
        await admitted(core, says("hello?", "anna"))
        assert errands.qsize() == 1


@pytest.mark.parametrize(
    "text", ["/status", "/new", "/pair", "/pair approve AAAAAAAA", "/stop", "", "x" * 2_000_000]
)
@pytest.mark.parametrize("chat_type", [ChatType.DIRECT, ChatType.GROUP])
async def test_no_word_of_a_stranger_does_anything(
    database_url: str, text: str, chat_type: ChatType
) -> None:
    """Commands, too, are decided about first; and nobody explains to a stranger what is wrong."""
    async with running(database_url, access=ACCESS) as core:
        chat = "club" if chat_type is ChatType.GROUP else "anna"
        assert not await admitted(core, says(text, "anna", chat, chat_type=chat_type))
        assert (await traces(core))[:5] == (0, 0, 0, 0, 0)


async def test_strangers_in_groups_are_not_told_anything(database_url: str) -> None:
    async with running(database_url, access=ACCESS) as core:
        said = says("let me in", "anna", "club", chat_type=ChatType.GROUP)
        assert await refusal(core, said) == "pending_approval_required"
        assert await traces(core) == (0, 0, 0, 0, 0, 0)
        assert core.channel.got == []


async def test_on_an_allowlist_channel_nobody_is_told_anything(database_url: str) -> None:
    access = {"test": AccessSettings(mode="allowlist", owners=["boss"])}
    async with running(database_url, access=access) as core:
        assert await refusal(core, says("let me in", "anna")) == "sender_not_listed"
        assert await traces(core) == (0, 0, 0, 0, 0, 0)
        assert await talks(core, "boss") == "echo hello"


async def test_a_fourth_stranger_has_to_wait(database_url: str) -> None:
    async with running(database_url, access=ACCESS) as core:
        for name in ("anna", "ben", "carl"):
            await knocks(core, name)
        assert await refusal(core, says("me, too", "dora")) == "pending_cap_reached"
        assert core.channel.lines("dora") == []
        assert (await traces(core))[5] == 3


async def test_a_notice_that_did_not_arrive_is_tried_again_after_a_while(
    database_url: str,
) -> None:
    async with running(database_url, access=ACCESS) as core:
        core.channel.trouble.append(NotSent("the platform is busy"))
        assert await refusal(core, says("hello", "anna")) == "pending_approval_created"
        await until(lambda: not core.channel.trouble, "it was tried")
        for _ in range(20):
            await admitted(core, says("hello?", "anna"))
        await knocks(core, "ben")
        assert core.channel.lines("anna") == [], "however often she asks"
        await core.database.commit(
            "UPDATE pairing SET telling_until = telling_until - interval '2 minutes'"
            " FROM unnest($1::boolean[]) WITH ORDINALITY AS row(all_of_them, ord)"
            " RETURNING row.ord",
            (True,),
        )
        await knocks(core, "anna")


@pytest.mark.parametrize("trouble", [NeverSendable("blocked"), MaybeSent("no answer")])
async def test_a_notice_that_may_have_arrived_or_never_will_is_not_sent_again(
    database_url: str, trouble: Exception
) -> None:
    async with running(database_url, access=ACCESS) as core:
        core.channel.trouble.append(trouble)
        await admitted(core, says("hello", "anna"))
        await until(lambda: not core.channel.trouble, "it was tried")
        await admitted(core, says("hello?", "anna"))
        await knocks(core, "ben")
        assert core.channel.lines("anna") == []


async def test_accepting_does_not_wait_for_the_platform(database_url: str) -> None:
    async with running(database_url, access=ACCESS) as core:
        core.channel.gate.clear()
        async with asyncio.timeout(5):
            assert not await admitted(core, says("hello", "anna"))
        core.channel.gate.set()
        await until(lambda: core.channel.lines("anna"), "the notice")


async def test_where_the_assistant_may_not_speak_a_stranger_hears_nothing(
    database_url: str,
) -> None:
    silent = [SendRule(action="deny", channel="test")]
    async with running(database_url, access=ACCESS, speech=silent) as core:
        await admitted(core, says("hello", "anna"))
        await until(lambda: told(core), "the request is over with")
        assert core.channel.got == []


async def test_asking_whether_somebody_is_let_in_leaves_no_trace(database_url: str) -> None:
    async with running(database_url, access=ACCESS) as core:
        assert not await core.gateway.admits(says("hello", "anna"))
        assert await core.gateway.admits(says("hello", "boss"))
        assert await traces(core) == (0, 0, 0, 0, 0, 0)


async def test_whoever_is_approved_is_told_and_talks_as_a_guest(database_url: str) -> None:
    async with running(database_url, access=ACCESS) as core:
        code = await knocks(core, "anna")
        assert "is let in as a guest" in await talks(core, "boss", f"/pair approve {code.lower()}")
        await until(lambda: len(core.channel.lines("anna")) == 2, "the welcome")
        assert core.channel.texts("anna")[1].startswith("You are let in")
        assert await talks(core, "anna") == "echo hello"
        [row] = await core.fetch("SELECT rights FROM inbox WHERE sender_id = 'anna'")
        assert row["rights"] == "guest"
        assert await refusal(core, says("hi", "anna", "den", chat_type=ChatType.GROUP)) == (
            "group_not_listed"
        )
        assert await admitted(core, says("hi", "anna", "club", chat_type=ChatType.GROUP))


async def test_whoever_is_sent_away_is_a_stranger_with_the_next_message(database_url: str) -> None:
    async with running(database_url, access=ACCESS) as core:
        code = await knocks(core, "anna")
        await talks(core, "boss", f"/pair approve {code}")
        await welcomed(core, "anna")
        assert await talks(core, "anna") == "echo hello"
        assert await core.opened.entrance.strangers.revoke("test", "anna", None, "ops") == 1
        assert await refusal(core, says("still here?", "anna")) == "pending_approval_created"


async def test_whom_the_configuration_lets_in_nobody_can_send_away(database_url: str) -> None:
    async with running(database_url, access=ACCESS) as core:
        with pytest.raises(Refused, match=r"channels\.test\.access\.owners"):
            await core.opened.entrance.strangers.revoke("test", "boss", None, "ops")


async def test_what_a_channel_says_of_rights_is_not_believed(database_url: str) -> None:
    async with running(database_url, access=ACCESS) as core:
        liar = says("/pair", "anna")
        sender = msgspec.structs.replace(liar.sender, rights=Rights.OWNER)
        assert not await admitted(core, msgspec.structs.replace(liar, sender=sender))


async def test_two_programs_do_not_talk_for_ever(database_url: str) -> None:
    access = {"test": AccessSettings(allowed_senders=["bot"], owners=["boss"])}
    async with running(database_url, access=access) as core:
        heard = [await refusal(core, says("/status", "bot", machine=True)) for _ in range(22)]
        assert heard == [None] * 20 + ["bot_loop"] * 2
        assert await refusal(core, says("hi", "other bot", machine=True)) == "machine_sender"


# An owner in the chat.


@pytest.mark.parametrize("text", ["/pair", "/pair approve {code}", "/pair reject {code}"])
@pytest.mark.parametrize("where", ["guest", "group", "owner in a group"])
async def test_nobody_but_an_owner_in_a_direct_chat_decides(
    database_url: str, text: str, where: str
) -> None:
    access = {"test": PAIRING.model_copy(update={"allowed_senders": ["guest"]})}
    async with running(database_url, access=access) as core:
        code = await knocks(core, "anna")
        sender = "boss" if where.startswith("owner") else "guest"
        chat, chat_type = ("guest", ChatType.DIRECT)
        if "group" in where:
            chat, chat_type = "club", ChatType.GROUP
        said = says(text.format(code=code), sender, chat, chat_type=chat_type)
        assert await admitted(core, said)
        await core.settled()
        [line] = core.channel.texts(chat)
        assert line.startswith("People are let in by an owner: in a direct chat")
        assert not await admitted(core, says("hello", "anna"))


async def test_an_owner_sees_who_waits_and_decides_by_code(database_url: str) -> None:
    async with running(database_url, access=ACCESS) as core:
        assert (await talks(core, "boss", "/pair")).startswith("Nobody waits")
        code = await knocks(core, "anna")
        await core.settled()
        listed = await talks(core, "boss", "/pair")
        assert f"`{code}`: Some Body, test id anna" in listed
        assert "is not understood" in await talks(core, "boss", f"/pair {code}")
        assert "No request has this code" in await talks(core, "boss", "/pair approve AAAAAAAA")
        spaced = f"{code[:4]} {code[4:]}"
        assert "let in as the owner" in await talks(core, "boss", f"/pair approve {spaced} owner")
        assert "already resolved" in await talks(core, "boss", f"/pair reject {code}")
        await welcomed(core, "anna")
        assert (await talks(core, "anna", "/pair")).startswith("Nobody waits")


async def test_the_same_command_twice_decides_once(database_url: str) -> None:
    async with running(database_url, access=ACCESS) as core:
        code = await knocks(core, "anna")
        for _ in range(2):
            await admitted(core, says(f"/pair approve {code}", "boss", key="the command"))
        await core.settled()
        assert [text for text in core.channel.texts("boss") if "let in as a guest" in text]
        assert not [text for text in core.channel.texts("boss") if "already" in text]


async def test_an_owner_who_guesses_is_not_listened_to(database_url: str) -> None:
    async with running(database_url, access=ACCESS) as core:
        code = await knocks(core, "anna")
        for _ in range(5):
            await talks(core, "boss", "/pair approve AAAAAAAA")
        assert "Too many wrong codes" in await talks(core, "boss", f"/pair approve {code}")
        assert not await admitted(core, says("hello", "anna"))


# One person on several channels, and rights that are not in the configuration.


async def test_an_owner_on_two_channels_is_one_person_after_linking(database_url: str) -> None:
    links = Links({"boss": ["test:boss", "other:9"]})
    conversations = Conversations("per-peer", links)
    access = {"test": AccessSettings(owners=["boss"]), "other": AccessSettings(owners=["9"])}
    async with running(
        database_url, access=access, conversations=conversations, channels=("test", "other")
    ) as core:
        assert await admitted(core, says("on one", "boss"))
        there = says("on the other", "9")
        address = Address("other", "account", "9")
        assert await admitted(core, msgspec.structs.replace(there, address=address))
        await core.settled()
        [row] = await core.fetch("SELECT count(DISTINCT session_id) AS sessions FROM inbox")
        assert row["sessions"] == 1


async def test_an_owner_by_code_is_reached_in_the_conversation_that_he_has(
    database_url: str,
) -> None:
    """Also when the daemon speaks first: the channel alone takes everybody for a guest."""

    def listener(address: Address) -> Listener:
        return Listener(ChatType.DIRECT, Sender(address.chat, "", Rights.GUEST))

    conversations = Conversations("main", listener=listener)
    async with running(
        database_url, access=ACCESS, conversations=conversations, listener=listener
    ) as core:
        code = await knocks(core, "wife")
        await talks(core, "boss", f"/pair approve {code} owner")
        await welcomed(core, "wife")
        await core.opened.notices.post(
            Address("test", "account", "wife"), DEFAULT_TENANT, "good morning"
        )
        await core.settled()
        assert core.channel.texts("wife")[-1] == "good morning"
        await talks(core, "wife")
        [row] = await core.fetch("SELECT count(*) AS sessions FROM session")
        assert row["sessions"] == 1


def test_a_notice_has_one_code() -> None:
    assert code_in("show `ABCD2345` to the owner") == "ABCD2345"


async def test_an_operator_finds_the_ids_of_who_was_refused_and_where(database_url: str) -> None:
    async with running(database_url, access=ACCESS) as core:
        said = says("hello", "an\nna", "-100888", chat_type=ChatType.GROUP)
        assert not await admitted(core, said)
        assert not await admitted(core, says("hello", "anna", "-100888", chat_type=ChatType.GROUP))
        told = [each.text for each in core.opened.records.traffics.of("test").happenings()]
        assert "group_not_listed: group chat -100888, sender anna" in told
        assert not any("\n" in each for each in told)
