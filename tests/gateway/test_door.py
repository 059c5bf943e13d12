from __future__ import annotations

import asyncio

import msgspec
import pytest

from opencraw.contract import Address, Envelope, Sender, Trigger
from opencraw.errors import NotFound, Refused
from opencraw.gateway.bounds import LONGEST_KEY, LONGEST_TEXT
from opencraw.sessions.choice import QueueChoice
from tests.fixtures.core import MODEL, Core, address, envelope, is_whole, running, session_of
from tests.fixtures.script import Held, Script


async def whole(core: Core) -> None:
    await core.settled()
    await is_whole(core.database)


async def test_a_receipt_is_given_once_the_message_is_durable(database_url: str) -> None:
    async with running(database_url, start=False) as core:
        receipt = await core.door.accept(envelope("hello"))
        [row] = await core.fetch("SELECT message_id, state FROM inbox")
        assert tuple(row) == (receipt.message_id, "waiting")
        assert core.reader.model == MODEL


async def test_the_same_event_a_hundred_times_at_once_is_one_turn(database_url: str) -> None:
    async with running(database_url) as core:
        same = envelope("hello")
        receipts = await asyncio.gather(*(core.door.accept(same) for _ in range(100)))
        assert len({receipt.message_id for receipt in receipts}) == 1
        assert sum(not receipt.duplicate for receipt in receipts) == 1
        await whole(core)
        assert (await core.door.accept(same)).duplicate
        assert core.channel.texts() == ["echo hello"]


# Refusals.

HELLO = envelope("hello")


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (msgspec.structs.replace(HELLO, text=""), "INVALID_FIELD"),
        (msgspec.structs.replace(HELLO, text=" \n\t"), "INVALID_FIELD"),
        (msgspec.structs.replace(HELLO, text="x" * (LONGEST_TEXT + 1)), "INVALID_FIELD"),
        (msgspec.structs.replace(HELLO, trigger_type=Trigger.COMMAND), "INVALID_FIELD"),
        (msgspec.structs.replace(HELLO, dedupe_key=""), "INVALID_IDEMPOTENCY_KEY"),
        (
            msgspec.structs.replace(HELLO, dedupe_key="x" * (LONGEST_KEY + 1)),
            "INVALID_IDEMPOTENCY_KEY",
        ),
        (msgspec.structs.replace(HELLO, dedupe_key="a\x00b"), "INVALID_IDEMPOTENCY_KEY"),
        (msgspec.structs.replace(HELLO, dedupe_key="a\ud800b"), "INVALID_IDEMPOTENCY_KEY"),
        (msgspec.structs.replace(HELLO, address=address("a\x00b")), "INVALID_FIELD"),
        (msgspec.structs.replace(HELLO, address=address("a\udfffb")), "INVALID_FIELD"),
        (msgspec.structs.replace(HELLO, address=address("x" * 5_000)), "INVALID_FIELD"),
        (msgspec.structs.replace(HELLO, tenant="\x00"), "INVALID_FIELD"),
        (
            msgspec.structs.replace(HELLO, sender=Sender("\x00", "Name", HELLO.sender.rights)),
            "INVALID_FIELD",
        ),
    ],
    ids=range(13),
)
async def test_what_no_later_step_could_handle_is_refused_with_words(
    database_url: str, wrong: Envelope, code: str
) -> None:
    async with running(database_url, start=False) as core:
        with pytest.raises(Refused) as refused:
            await core.door.accept(wrong)
        assert refused.value.code == code
        assert str(refused.value)
        assert await core.fetch("SELECT FROM inbox") == []


@pytest.mark.parametrize(
    "odd",
    [
        msgspec.structs.replace(HELLO, text="x" * LONGEST_TEXT),
        msgspec.structs.replace(HELLO, dedupe_key="x" * LONGEST_KEY),
        msgspec.structs.replace(HELLO, dedupe_key="ключ 🔑 with spaces/and%marks"),
        msgspec.structs.replace(HELLO, address=Address("test", "", "", "")),
        msgspec.structs.replace(HELLO, address=Address("test", "a/b", "%2F", "-100")),
        msgspec.structs.replace(
            HELLO, sender=Sender("1", "N\x00me \ud83d 'quoted'; --", HELLO.sender.rights)
        ),
        msgspec.structs.replace(HELLO, text="\u200b"),
    ],
    ids=range(7),
)
async def test_what_is_merely_odd_is_taken(database_url: str, odd: Envelope) -> None:
    async with running(database_url) as core:
        assert not (await core.door.accept(odd)).duplicate
        await whole(core)
        assert len(core.channel.got) == 1


# Commands.


@pytest.mark.parametrize("slots", [1, 8])
async def test_commands_are_answered_while_turns_run_and_all_slots_are_busy(
    database_url: str, slots: int
) -> None:
    held = Held()
    async with running(database_url, held, max_concurrency=slots, cap=1) as core:
        await core.say("think")
        await held.reached.wait()
        await core.say("waits")
        for command in ("/help", "/status", "/usage", "/model", "/queue", "/nonsense"):
            line = await core.asked(command)
            assert line.kind == "notice"
        assert (await core.asked("/status", "another chat")).text.startswith("- model: ")
        status = (await core.asked("/status")).text
        assert "- running: an answer" in status
        assert "- waiting: 1" in status
        held.release()
        await whole(core)
        assert isinstance(core.script, Script)
        assert all("/" not in each.text for each in core.script.prompts[-1].messages)


async def test_a_command_that_is_repeated_is_answered_once(database_url: str) -> None:
    async with running(database_url) as core:
        command = envelope("/queue collect")
        receipts = await asyncio.gather(*(core.door.accept(command) for _ in range(20)))
        assert len({receipt.message_id for receipt in receipts}) == 1
        assert sum(not receipt.duplicate for receipt in receipts) == 1
        await core.asked("/queue default")
        assert (await core.door.accept(command)).duplicate
        await whole(core)
        session = await core.sessions.session(session_of())
        assert session is not None
        assert session.choice.mode is None, "the repeat did not take effect once more"
        assert len(core.channel.got) == 2


async def test_many_commands_at_once_are_each_answered(database_url: str) -> None:
    async with running(database_url) as core:
        await asyncio.gather(
            *(core.say("/status", f"chat {number % 3}") for number in range(12)),
            *(core.say("hello", f"chat {number}") for number in range(3)),
        )
        await whole(core)
        assert len(core.channel.got) == 15


async def test_a_choice_of_mode_is_kept_with_the_conversation(database_url: str) -> None:
    async with running(database_url) as core:
        await core.asked("/queue followup debounce:120ms window:sliding cap:25 drop:oldest")
        session = await core.sessions.session(session_of())
        assert session is not None
        assert session.choice == QueueChoice("followup", 120, "sliding", 25, "oldest")
        assert (
            "followup, debounce 120 ms (sliding), cap 25, drop oldest"
            in (await core.asked("/status")).text
        )
        assert "steer, debounce 0 ms" in (await core.asked("/status", "b")).text
        await core.say("one")
        await core.say("two")
        await whole(core)
        assert core.channel.texts()[-2:] == ["echo one", "echo two"]
        await core.asked("/queue default")
        assert "steer, debounce 0 ms" in (await core.asked("/status")).text


async def test_a_choice_of_model_holds_from_the_next_turn_on(database_url: str) -> None:
    async with running(database_url) as core:
        await core.asked("hello")
        assert "`script/two`" in (await core.asked("/model spare")).text
        await core.asked("hello")
        await core.asked("/model clear")
        await core.asked("hello")
        await whole(core)
        rows = await core.fetch("SELECT model FROM turn ORDER BY started_at")
        assert [row["model"] for row in rows] == [MODEL, "script/two", MODEL]


async def test_new_forgets_what_was_said_and_counts_anew(database_url: str) -> None:
    async with running(database_url) as core:
        await core.asked("my name is Ada")
        assert "prompt: 10" in (await core.asked("/usage")).text
        await core.asked("/new")
        assert "prompt: 0" in (await core.asked("/usage")).text
        await core.asked("who am I?")
        assert isinstance(core.script, Script)
        assert [each.text for each in core.script.prompts[-1].messages] == ["who am I?"]
        await whole(core)
        texts = [line.text for line in await core.reader.history(address())]
        assert texts[0] == "my name is Ada", "people still see what they said"


async def test_new_ends_what_runs_and_takes_back_what_waits(database_url: str) -> None:
    held = Held("I was ")
    async with running(database_url, held, mode="followup") as core:
        await core.say("one")
        await held.reached.wait()
        await core.say("two")
        await core.say("/new")
        await whole(core)
        assert [outcome for _, outcome in await core.outcomes()] == [
            "interrupted", "withdrawn", "command"
        ]  # fmt: skip
        assert (await core.asked("three")).text == "echo three"
        assert isinstance(core.script, Script)
        assert [each.text for each in core.script.prompts[-1].messages] == ["three"]


@pytest.mark.parametrize("command", ["/new", "/stop"])
async def test_what_was_taken_back_does_not_wait_from_that_moment_on(
    database_url: str, command: str
) -> None:
    async with running(database_url, start=False) as core:
        await core.say("hello")
        assert core.dispatcher.waiting(session_of()) == 1
        await core.say(command)
        assert core.dispatcher.waiting(session_of()) == 0


async def test_one_conversation_is_not_stopped_by_another(database_url: str) -> None:
    held = Held()
    async with running(database_url, held) as core:
        await core.say("think", "a")
        await held.reached.wait()
        assert (await core.asked("/stop", "b")).text == "There was nothing to stop."
        held.release()
        assert await core.delivered(1, "a") == ["released"]
        await whole(core)


# Posting.


async def test_the_daemon_can_say_something_on_its_own(database_url: str) -> None:
    async with running(database_url) as core:
        delivery_id = await core.opened.notices.post(address(), "default", "Half \ud83d past nine.")
        assert await core.delivered(1) == ["Half \ufffd past nine."]
        [delivery] = core.channel.got
        assert (delivery.delivery_id, delivery.line.kind) == (delivery_id, "notice")
        await core.asked("what?")
        assert isinstance(core.script, Script)
        assert [each.text for each in core.script.prompts[-1].messages] == ["what?"]
        await whole(core)


async def test_a_post_that_cannot_go_anywhere_is_refused(database_url: str) -> None:
    async with running(database_url, start=False) as core:
        with pytest.raises(NotFound, match="no channel 'nowhere'"):
            await core.opened.notices.post(address(channel="nowhere"), "default", "hello")
        for text in ("", " ", "x" * (LONGEST_TEXT + 1)):
            with pytest.raises(Refused):
                await core.opened.notices.post(address(), "default", text)
        with pytest.raises(Refused):
            await core.opened.notices.post(address("a\x00"), "default", "hello")
