"""One conversation at several addresses: what is answered goes where it was asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from opencraw.contract import (
    DEFAULT_TENANT,
    Address,
    ChatType,
    Delivery,
    Listener,
    PartSent,
    Rights,
    Sender,
)
from opencraw.errors import NotSent, Refused
from opencraw.events import DraftGrew
from opencraw.queue.rules import ChannelRules
from opencraw.sessions.keys import Conversations, session_id
from opencraw.sessions.send_policy import SendRule
from opencraw.settings import ChannelSettings, Mode
from tests.fixtures.core import Core, address, running, until
from tests.fixtures.mailbox import Mailbox
from tests.fixtures.script import Held, Script, calls

OWNER = Sender("owner", "Owner", Rights.OWNER)
#: All owners share one conversation. Its channel knows that they are at a and b, and nowhere else.
MAIN = Conversations(
    "main",
    listener=lambda where: Listener(ChatType.DIRECT, OWNER) if where.chat in ("a", "b") else None,
)
SHARED = MAIN.at(address("a"), DEFAULT_TENANT).id


@pytest.fixture
async def core(database_url: str) -> AsyncIterator[Core]:
    async with running(database_url, conversations=MAIN) as core:
        yield core
        await core.settled()


def prompts(core: Core) -> list[list[str]]:
    assert isinstance(core.script, Script)
    return [[message.text for message in prompt.messages] for prompt in core.script.prompts]


async def test_a_person_goes_on_elsewhere_and_is_answered_there(core: Core) -> None:
    assert (await core.asked("one", "a")).text == "echo one"
    assert (await core.asked("two", "b")).text == "echo two"
    assert core.channel.texts("a") == ["echo one"]
    assert prompts(core)[-1] == ["one", "echo one", "two"]


async def test_whoever_looks_at_one_address_sees_the_conversation(core: Core) -> None:
    await core.asked("one", "a")
    await core.asked("two", "b")
    lines = [line.text for line in await core.reader.history(address("a"))]
    assert lines == ["one", "echo one", "two", "echo two"]
    assert await core.reader.history(address("b")) == await core.reader.history(address("a"))
    assert await core.reader.history(address("c")) == []


async def test_a_guest_has_a_conversation_of_his_own(core: Core) -> None:
    await core.asked("secret", "a")
    await core.say("hello", "c", rights=Rights.GUEST)
    assert await core.delivered(1, "c") == ["echo hello"]
    assert prompts(core)[-1] == ["hello"]


async def test_a_guest_ends_and_forgets_only_what_is_his(database_url: str) -> None:
    held = Held()
    async with running(database_url, held, conversations=MAIN) as core:
        await core.say("one", "a")
        await held.reached.wait()
        for text in ("/stop", "/new", "/queue collect"):
            await core.say(text, "c", rights=Rights.GUEST)
        assert len(await core.delivered(3, "c")) == 3
        assert core.dispatcher.running(SHARED) is not None
        held.release()
        assert await core.delivered(1, "a") == ["released"]
        session = await core.sessions.session(SHARED)
        assert session is not None
        assert session.choice.mode is None


async def test_a_group_is_never_joined(core: Core) -> None:
    await core.asked("secret", "a")
    await core.say("hello all", "group", chat_type=ChatType.GROUP)
    [answer] = await core.delivered(1, "group")
    assert "hello all" in answer
    assert not any("secret" in text for text in prompts(core)[-1])


# While a turn runs.


@pytest.mark.parametrize("mode", ["steer", "interrupt", "collect", "followup"])
async def test_what_is_said_elsewhere_waits_for_a_turn_of_its_own(
    database_url: str, mode: Mode
) -> None:
    held = Held(reply=calls(("calculate", '{"expression": "1+1"}')))
    async with running(database_url, held, mode=mode, conversations=MAIN) as core:
        await core.say("one", "a")
        await held.reached.wait()
        await core.say("two", "b")
        assert [each.text for each in await core.reader.waiting(address("a"))] == ["two"]
        held.release()
        assert await core.delivered(1, "a") == ["echo one"]
        assert await core.delivered(1, "b") == ["echo two"]
        await core.settled()
        rows = await core.fetch("SELECT text, outcome, chat FROM inbox ORDER BY id")
        assert [tuple(row) for row in rows] == [("one", "answered", "a"), ("two", "answered", "b")]


async def test_a_burst_from_two_places_is_answered_at_both(database_url: str) -> None:
    held = Held()
    async with running(database_url, held, mode="collect", conversations=MAIN) as core:
        await core.say("wait", "a")
        await held.reached.wait()
        for text, chat in (("one", "a"), ("two", "a"), ("three", "b"), ("four", "a")):
            await core.say(text, chat)
        held.release()
        assert (await core.delivered(3, "a"))[1:] == ["echo two", "echo four"]
        assert await core.delivered(1, "b") == ["echo three"]
        rows = await core.fetch(
            "SELECT chat, queue_collected_messages FROM turn ORDER BY started_at"
        )
        assert [tuple(row) for row in rows] == [("a", 0), ("a", 2), ("b", 0), ("a", 0)]


async def test_what_is_chosen_on_another_channel_leaves_a_running_turn_the_rules_of_its_own(
    database_url: str,
) -> None:
    held = Held()
    async with running(database_url, held, conversations=MAIN, channels=("test", "other")) as core:
        core.rules._channels = {"other": ChannelRules(ChannelSettings(mode="interrupt"))}
        await core.say("one", "a")
        await held.reached.wait()
        await core.say("/queue debounce:0ms", "c", channel="other")
        assert "interrupt" in (await core.delivered(1, "c"))[0]
        turn = core.dispatcher.running(SHARED)
        assert turn is not None
        assert turn.mode == "steer"
        held.release()
        await core.settled()


async def test_a_turn_is_shown_only_where_it_answers(database_url: str) -> None:
    held = Held("Well, ")
    async with running(database_url, held, conversations=MAIN) as core:
        await core.asked("/status", "a")
        await core.say("one", "b")
        await held.reached.wait()
        draft = core.reader.draft(address("b"))
        assert draft is not None
        assert draft.text == "Well, "
        assert core.reader.draft(address("a")) is None
        held.release()
        await core.delivered(1, "b")
        grown = {where.chat for where, event in core.shown if isinstance(event, DraftGrew)}
        assert grown == {"b"}


async def test_stop_is_heard_from_everywhere_and_answered_where_it_was_said(
    database_url: str,
) -> None:
    held = Held("Well, ")
    async with running(database_url, held, conversations=MAIN) as core:
        await core.say("one", "a")
        await held.reached.wait()
        await core.say("two", "a")
        await core.say("/stop", "b")
        assert await core.delivered(1, "a") == ["Well, "]
        assert core.channel.texts("b") == [
            "Stopped: the running answer ends and 1 waiting taken back."
        ]
        await core.settled()


async def test_a_message_is_taken_back_wherever_its_conversation_is_seen(
    database_url: str,
) -> None:
    held = Held()
    async with running(database_url, held, conversations=MAIN) as core:
        await core.say("one", "a")
        await held.reached.wait()
        receipt = await core.say("two", "a")
        assert not await core.reader.withdraw(address("c"), receipt.message_id)
        assert await core.reader.withdraw(address("b"), receipt.message_id)
        held.release()
        await core.settled()
        assert core.channel.texts("a") == ["released"]


async def test_who_takes_a_turn_over_answers_where_it_was_asked(database_url: str) -> None:
    held = Held()
    async with running(database_url, held, conversations=MAIN) as dying:
        dying.dies = True
        await dying.asked("/status", "a")
        await dying.say("one", "b")
        await held.reached.wait()
    async with running(database_url, conversations=MAIN) as heir:
        await heir.fetch("UPDATE node SET lease_until = now() - interval '1 s' WHERE id = $1",
                         dying.node.id)  # fmt: skip
        assert await heir.delivered(1, "b") == ["echo one"]
        await heir.settled()
        assert heir.channel.texts("a") == []


# A lane that is full.


@pytest.mark.parametrize("drop", ["summarize", "oldest"])
async def test_everybody_is_told_of_his_own_messages_and_of_no_others(
    database_url: str, drop: str
) -> None:
    held = Held()
    async with running(database_url, held, mode="followup", conversations=MAIN) as core:
        await core.asked(f"/queue cap:1 drop:{drop}", "a")
        await core.say("wait", "a")
        await held.reached.wait()
        for text, chat in (("a1", "a"), ("b1", "b"), ("a2", "a"), ("b2", "b"), ("last", "a")):
            await core.say(text, chat)
        await until(lambda: core.dispatcher.waiting(SHARED) <= 1)
        held.release()
        await core.settled()
        told = {chat: "\n".join(core.channel.texts(chat)) for chat in "ab"}
        assert "a1" in told["a"]
        assert "a2" in told["a"]
        assert "b1" in told["b"]
        assert "b2" in told["b"]
        assert not any(text in told["a"] for text in ("b1", "b2"))
        assert not any(text in told["b"] for text in ("a1", "a2", "last"))


# Deliveries.


async def test_an_address_that_cannot_be_reached_holds_up_no_other(
    database_url: str,
) -> None:
    class Half(Mailbox):
        async def send(self, delivery: Delivery, sent: PartSent) -> None:
            if delivery.address.chat == "a" and not self.gate.is_set():
                raise NotSent("a is away", retry_after=0.01)
            self.got.append(delivery)

    async with running(database_url, channel=Half(), conversations=MAIN) as core:
        core.channel.gate.clear()
        await core.say("one", "a")
        assert (await core.asked("two", "b")).text == "echo two"
        assert core.channel.texts("a") == []
        core.channel.gate.set()
        assert await core.delivered(1, "a") == ["echo one"]


async def test_what_the_daemon_says_first_is_part_of_the_conversation(core: Core) -> None:
    await core.asked("one", "a")
    await core.opened.notices.post(address("b"), DEFAULT_TENANT, "It is time.")
    assert await core.delivered(1, "b") == ["It is time."]
    assert [line.text for line in await core.reader.history(address("a"))][-1] == "It is time."


async def test_the_daemon_may_speak_first_where_its_channel_knows_who_listens(
    database_url: str,
) -> None:
    rules = [SendRule(action="allow", chat_type="direct")]
    async with running(database_url, speech=rules, conversations=MAIN) as core:
        await core.opened.notices.post(address("a"), DEFAULT_TENANT, "It is time.")
        assert await core.delivered(1, "a") == ["It is time."]
        with pytest.raises(Refused, match="is not known until somebody writes"):
            await core.opened.notices.post(address("c"), DEFAULT_TENANT, "It is time.")


async def test_a_rule_about_one_address_holds_in_a_shared_conversation(
    database_url: str,
) -> None:
    rules = [SendRule(action="deny", session="default/main/test/account/b")]
    async with running(database_url, speech=rules, conversations=MAIN) as core:
        assert (await core.asked("one", "a")).text == "echo one"
        receipt = await core.say("two", "b")
        assert receipt.muted
        with pytest.raises(Refused, match="may not speak there"):
            await core.opened.notices.post(address("b"), DEFAULT_TENANT, "It is time.")
        await core.settled()
        assert core.channel.texts("b") == []


async def test_a_rule_about_one_address_holds_for_what_was_asked_before_it(
    database_url: str,
) -> None:
    async with running(database_url, conversations=MAIN, start=False) as before:
        await before.say("one", "b")
    rules = [SendRule(action="deny", session="default/main/test/account/b")]
    async with running(database_url, speech=rules, conversations=MAIN) as after:
        await after.settled()
        assert after.channel.texts("b") == []
        [row] = await after.fetch("SELECT state, failure FROM outbox")
        assert row["state"] == "dead"
        assert "the assistant may not speak there" in row["failure"]


async def test_another_setting_finds_what_waits_where_it_was_said(database_url: str) -> None:
    """Messages belong to the conversation for which they were accepted."""
    async with running(database_url, start=False) as before:
        await before.say("one", "a")
    async with running(database_url, conversations=MAIN) as after:
        assert await after.delivered(1, "a") == ["echo one"]
        assert (await after.asked("two", "a")).text == "echo two"
        rows = await after.fetch("SELECT session_id FROM inbox ORDER BY id")
        assert [row["session_id"] for row in rows] == [_alone("a"), SHARED]


def _alone(chat: str) -> UUID:
    return session_id(Address("test", "account", chat), DEFAULT_TENANT)
