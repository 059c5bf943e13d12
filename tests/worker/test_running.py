from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from opencraw.contract import Rights
from opencraw.errors import FailureKind, ModelFailure
from opencraw.events import DraftGrew, Event, TurnEnded, TurnStarted
from opencraw.model import ModelEvent, ModelReply, Prompt, TextDelta, ToolMessage, UserMessage
from opencraw.queue.turns import Turns
from opencraw.settings import Mode
from opencraw.tools.registry import Risk, Tool, tool
from tests.fixtures.core import (
    Core,
    Held,
    Script,
    calls,
    is_whole,
    running,
    session_of,
    until,
)


class Bench:
    """A tool that begins when it is called and ends when a test says so."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()
        self.effects: list[str] = []

    @property
    def tools(self) -> tuple[Tool, ...]:
        @tool(risk=Risk.EFFECT)
        async def work() -> str:
            """Work."""
            self.begun.set()
            await self.may_end.wait()
            self.effects.append("worked")
            return "worked"

        @tool(risk=Risk.EFFECT)
        async def quick() -> str:
            """Work quickly."""
            self.effects.append("quick")
            return "quick"

        return work, quick


def script_of(core: Core) -> Script:
    assert isinstance(core.script, Script)
    return core.script


def shown(core: Core, chat: str = "a") -> list[Event]:
    return [event for turn, event in core.shown if turn.address.chat == chat]


async def whole(core: Core) -> None:
    await core.settled()
    await is_whole(core.database)


# An ordinary turn.


async def test_a_turn_is_shown_while_it_runs_and_delivered_at_its_end(database_url: str) -> None:
    held = Held("Well, ")
    async with running(database_url, held) as core:
        await core.say("Hello")
        await held.reached.wait()
        draft = core.dispatcher.draft(session_of())
        assert draft is not None
        assert draft.text == "Well, "
        assert core.channel.got == []
        held.release()
        assert await core.delivered(1) == ["released"]
        await whole(core)
        events = shown(core)
        assert isinstance(events[1], TurnStarted)
        assert "".join(each.text for each in events if isinstance(each, DraftGrew)) == (
            "Well, released"
        )
        assert events[-1] == TurnEnded(draft.turn_id, "done")
        assert core.dispatcher.draft(session_of()) is None


async def test_each_step_is_on_record_before_the_next_is_taken(database_url: str) -> None:
    bench, last = Bench(), Held()
    async with running(
        database_url, calls("quick", "work", text="Let me see."), last, tools=bench.tools
    ) as core:
        await core.say("Hello")
        await bench.begun.wait()
        kinds = [(entry.kind, entry.text or entry.tool_name) for entry in await core.transcript()]
        assert kinds == [
            ("user", "Hello"),
            ("assistant", "Let me see."),
            ("tool_started", "quick"),
            ("tool_result", "quick"),
            ("tool_started", "work"),
        ]
        bench.may_end.set()
        await last.reached.wait()
        assert [entry.kind for entry in await core.transcript()][-1] == "tool_result"
        last.release()
        assert await core.delivered(1) == ["Let me see.\n\nreleased"]
        [line] = core.channel.lines()
        assert line.tools == ("quick", "work")
        await whole(core)
    assert ("work", "started") in core.tools_shown()
    assert ("work", "finished") in core.tools_shown()


async def test_tokens_of_all_steps_are_counted_once(database_url: str) -> None:
    bench = Bench()
    async with running(database_url, calls("quick"), tools=bench.tools) as core:
        await core.asked("Hello")
        await core.asked("again")
        await whole(core)
        session = await core.sessions.session(session_of())
        assert session is not None
        assert (session.prompt_tokens, session.completion_tokens) == (7 + 10 + 10, 3 + 5 + 5)
        assert session.cached_tokens == 2 + 2


async def test_the_next_turn_reads_what_the_last_one_said(database_url: str) -> None:
    async with running(database_url, "I am fine.") as core:
        await core.asked("How are you?")
        await core.asked("Good.")
        texts = [message.text for message in script_of(core).prompts[-1].messages]
        assert texts == ["How are you?", "I am fine.", "Good."]


# What goes wrong becomes words.


async def _raise(_: Prompt) -> AsyncGenerator[ModelEvent]:
    yield TextDelta("I ")
    raise ZeroDivisionError


async def _end_without_reply(_: Prompt) -> AsyncGenerator[ModelEvent]:
    yield TextDelta("I ")


@pytest.mark.parametrize(
    ("step", "failure", "words"),
    [
        (
            ModelFailure(FailureKind.AUTH, "the key is wrong"),
            "auth: the key is wrong",
            "the key is",
        ),
        (_raise, "internal: ZeroDivisionError", "something in OpenCraw went wrong"),
        (_end_without_reply, "internal: AssertionError", "something in OpenCraw went wrong"),
    ],
)
async def test_a_turn_that_fails_says_so_and_the_lane_goes_on(
    database_url: str, step: ModelFailure, failure: str, words: str
) -> None:
    async with running(database_url, step) as core:
        line = await core.asked("Hello")
        assert line.kind == "notice"
        assert words in line.text
        assert "kept in this conversation" in line.text
        [turn] = await core.fetch("SELECT state, failure FROM turn")
        assert tuple(turn) == ("failed", failure)
        assert await core.outcomes() == [("Hello", "failed")]
        assert (await core.asked("again")).text == "echo again"
        texts = [message.text for message in script_of(core).prompts[-1].messages]
        assert texts == ["Hello", "again"], "what failed is kept, the apology is not for the model"
        await whole(core)


async def test_a_failure_between_tools_leaves_a_valid_history(database_url: str) -> None:
    bench = Bench()
    failure = ModelFailure(FailureKind.AUTH, "the key was withdrawn")
    async with running(database_url, calls("quick"), failure, tools=bench.tools) as core:
        await core.asked("Hello")
        assert (await core.asked("again")).text == "echo again"


async def test_a_model_that_answers_with_nothing_is_not_passed_off_as_an_answer(
    database_url: str,
) -> None:
    async with running(database_url, ModelReply(" \n")) as core:
        line = await core.asked("Hello")
        assert line.kind == "notice"
        assert "answered with nothing" in line.text
        assert (await core.asked("again")).text == "echo again"
        await whole(core)


async def test_an_answer_that_reached_the_limit_of_tokens_says_so(database_url: str) -> None:
    async with running(database_url, ModelReply("Half an", stop="length")) as core:
        line = await core.asked("Hello")
        assert line.text.startswith("Half an\n\n")
        assert "limit" in line.text


async def test_the_text_of_a_failed_try_is_taken_back(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opencraw.runtime.retries.FIRST_PAUSE", 0.001)

    async def breaks_off(_: Prompt) -> AsyncGenerator[ModelEvent]:
        yield TextDelta("Half an answer")
        raise ModelFailure(FailureKind.UNREACHABLE, "reset")

    async with running(database_url, breaks_off, "A whole answer.") as core:
        assert (await core.asked("Hello")).text == "A whole answer."
        offsets = [each.offset for each in shown(core) if isinstance(each, DraftGrew)]
        assert offsets[:2] == [0, 0]


# Steer.


async def test_a_running_turn_hears_what_is_said(database_url: str) -> None:
    bench = Bench()
    async with running(database_url, calls("work", "quick"), tools=bench.tools) as core:
        await core.say("do it")
        await bench.begun.wait()
        await core.say("and quickly")
        await core.say("please")
        bench.may_end.set()
        assert await core.delivered(1) == ["echo please"]
        await whole(core)
        assert await core.outcomes() == [
            ("do it", "answered"), ("and quickly", "injected"), ("please", "injected")
        ]  # fmt: skip
        *_, done, skipped, quickly, please = script_of(core).prompts[-1].messages
        assert (quickly, please) == (UserMessage("and quickly"), UserMessage("please"))
        assert isinstance(done, ToolMessage)
        assert isinstance(skipped, ToolMessage)
        assert (done.failed, skipped.failed) == (False, True)
        assert bench.effects == ["worked"]


async def test_a_steer_that_comes_too_late_is_a_turn_of_its_own(database_url: str) -> None:
    held = Held()
    async with running(database_url, held) as core:
        await core.say("one")
        await held.reached.wait()
        await core.say("two")
        held.release()
        assert await core.delivered(2) == ["released", "echo two"]
        await whole(core)
        assert await core.outcomes() == [("one", "answered"), ("two", "answered")]


async def test_a_message_that_was_heard_does_not_count_as_waiting(database_url: str) -> None:
    """A long turn that is spoken to often never fills its lane."""
    steps = [Held(reply=calls("quick")) for _ in range(3)]
    async with running(database_url, *steps, tools=Bench().tools, lane_buffer=2) as core:
        await core.say("begin")
        for number, step in enumerate(steps):
            await step.reached.wait()
            await core.say(f"{number} one")
            await core.say(f"{number} two")
            step.release()
        await core.delivered(1)
        await whole(core)
        assert [outcome for _, outcome in await core.outcomes()] == ["answered"] + 6 * ["injected"]


async def test_a_guest_does_not_steer_the_turn_of_the_owner(database_url: str) -> None:
    """What one may ask another may not; nor may he keep tools from running by speaking."""
    bench = Bench()
    async with running(database_url, calls("work", "quick"), tools=bench.tools) as core:
        await core.say("do it")
        await bench.begun.wait()
        await core.say("me too", rights=Rights.GUEST)
        bench.may_end.set()
        assert await core.delivered(2) == ["echo do it", "echo me too"]
        await whole(core)
        assert bench.effects == ["worked", "quick"]
        assert await core.outcomes() == [("do it", "answered"), ("me too", "answered")]
        rows = await core.fetch("SELECT rights FROM turn ORDER BY started_at")
        assert [row["rights"] for row in rows] == ["owner", "guest"]


async def test_a_guest_who_waits_at_the_start_keeps_no_tool_from_running(database_url: str) -> None:
    bench = Bench()
    async with running(database_url, calls("quick"), tools=bench.tools, debounce_ms=100) as core:
        await core.say("do it")
        await core.say("me too", rights=Rights.GUEST)
        assert await core.delivered(2) == ["echo do it", "echo me too"]
        assert bench.effects == ["quick"]
        await whole(core)


async def test_what_was_said_to_a_turn_that_ends_badly_is_not_lost(database_url: str) -> None:
    held = Held()
    async with running(database_url, held) as core:
        await core.say("one")
        await held.reached.wait()
        await core.say("two")
        script_of(core).steps.append(ModelFailure(FailureKind.AUTH, "no"))
        held.release()
        await core.delivered(2)
        await whole(core)
        assert await core.outcomes() == [("one", "answered"), ("two", "failed")]


async def test_a_mode_that_is_chosen_meanwhile_holds_for_the_running_turn(
    database_url: str,
) -> None:
    bench = Bench()
    async with running(database_url, calls("work"), tools=bench.tools) as core:
        await core.say("do it")
        await bench.begun.wait()
        await core.say("/queue followup")
        await core.say("later")
        bench.may_end.set()
        assert (await core.delivered(3))[1:] == ["echo do it", "echo later"]
        await whole(core)


# The other modes.


async def test_collect_makes_one_turn_of_all_that_came_meanwhile(database_url: str) -> None:
    held = Held()
    async with running(database_url, held, mode="collect") as core:
        await core.say("one")
        await held.reached.wait()
        for text in ("two", "three", "four"):
            await core.say(text)
        held.release()
        assert await core.delivered(2) == ["released", "echo four"]
        texts = [message.text for message in script_of(core).prompts[-1].messages]
        assert texts == ["one", "released", "two", "three", "four"]
        rows = await core.fetch(
            "SELECT queue_collected_messages AS n FROM turn ORDER BY started_at"
        )
        assert [row["n"] for row in rows] == [0, 3]
        await whole(core)


async def test_followup_makes_a_turn_of_each_in_order(database_url: str) -> None:
    held = Held()
    async with running(database_url, held, mode="followup") as core:
        await core.say("one")
        await held.reached.wait()
        for text in ("two", "three", "four"):
            await core.say(text)
        held.release()
        texts = await core.delivered(4)
        assert texts == ["released", "echo two", "echo three", "echo four"]
        await whole(core)


async def test_interrupt_ends_the_running_turn_and_answers_the_newest(database_url: str) -> None:
    held = Held("Once upon a time ")
    async with running(database_url, held, mode="interrupt") as core:
        await core.say("tell me a story")
        await held.reached.wait()
        await core.say("no, a joke")
        cut, joke = (await core.delivered(2))[:2]
        assert (cut, joke) == ("Once upon a time ", "echo no, a joke")
        assert [line.interrupted for line in core.channel.lines()] == [True, False]
        assert await core.outcomes() == [
            ("tell me a story", "interrupted"), ("no, a joke", "answered")
        ]  # fmt: skip
        await whole(core)


async def test_a_guest_does_not_interrupt_the_turn_of_the_owner(database_url: str) -> None:
    held = Held("Once upon a time ")
    async with running(database_url, held, mode="interrupt") as core:
        await core.say("a story")
        await held.reached.wait()
        await core.say("me too", rights=Rights.GUEST)
        held.release()
        assert await core.delivered(2) == ["released", "echo me too"]
        await whole(core)


async def test_an_owner_is_answered_although_a_guest_speaks_in_the_same_breath(
    database_url: str,
) -> None:
    """In mode interrupt too: what waited when a turn was decided on does not end it."""
    async with running(database_url, mode="interrupt", debounce_ms=100) as core:
        await core.say("mine")
        await core.say("and mine", rights=Rights.GUEST)
        assert await core.delivered(2) == ["echo mine", "echo and mine"]
        await whole(core)


# Stop.


async def test_stop_while_a_model_speaks_keeps_what_it_said(database_url: str) -> None:
    held = Held("Once upon ")
    async with running(database_url, held) as core:
        await core.say("a story")
        await held.reached.wait()
        await core.say("/stop")
        await core.delivered(2)
        assert set(core.channel.texts()) == {"Once upon ", "Stopped: the running answer ends."}
        await whole(core)
        assert (await core.asked("go on")).text == "echo go on"
        texts = [message.text for message in script_of(core).prompts[-1].messages]
        assert texts[1].startswith("Once upon")
        assert "interrupted" in texts[1]


async def test_stop_while_a_tool_runs_closes_its_call(database_url: str) -> None:
    bench = Bench()
    async with running(
        database_url, calls("work", "quick", text="I begin."), tools=bench.tools
    ) as core:
        await core.say("do it")
        await bench.begun.wait()
        await core.say("/stop")
        await core.delivered(2)
        assert bench.effects == []
        assert core.tools_shown()[-2:] == [("work", "cancelled"), ("quick", "cancelled")]
        await whole(core)
        await core.asked("go on")
        told = [
            each for each in script_of(core).prompts[-1].messages if isinstance(each, ToolMessage)
        ]
        assert ["Cancelled" in each.text for each in told] == [True, True]
        await whole(core)


async def test_stop_between_two_steps_leaves_a_line_for_what_was_said(database_url: str) -> None:
    held, bench = Held(), Bench()
    async with running(
        database_url, calls("quick", text="I begin."), held, tools=bench.tools
    ) as core:
        await core.say("do it")
        await held.reached.wait()
        await core.say("/stop")
        await core.delivered(2)
        assert "I begin." in core.channel.texts()
        await whole(core)
        seqs = [line.seq for line in await core.door.history(core.channel.got[0].address)]
        assert seqs == sorted(set(seqs)), "every line has a place of its own"


async def test_stop_before_anything_was_said_says_nothing_but_that(database_url: str) -> None:
    held = Held()
    async with running(database_url, held) as core:
        await core.say("a story")
        await held.reached.wait()
        await core.say("/stop")
        await whole(core)
        assert core.channel.texts() == ["Stopped: the running answer ends."]
        assert await core.outcomes() == [("a story", "interrupted"), ("/stop", "command")]


async def test_stop_takes_back_what_waits(database_url: str) -> None:
    held = Held()
    async with running(database_url, held, mode="followup") as core:
        await core.say("one")
        await held.reached.wait()
        await core.say("two")
        await core.say("three")
        await core.say("/stop")
        await whole(core)
        assert core.channel.texts() == [
            "Stopped: the running answer ends and 2 waiting taken back."
        ]
        assert [outcome for _, outcome in await core.outcomes()] == [
            "interrupted", "withdrawn", "withdrawn", "command"
        ]  # fmt: skip
        assert (await core.asked("four")).text == "echo four"


async def test_stop_in_the_window_of_a_burst_takes_it_back(database_url: str) -> None:
    async with running(database_url, debounce_ms=60_000) as core:
        await core.say("one")
        await core.say("/stop")
        await whole(core)
        assert core.channel.texts() == ["Stopped: 1 waiting taken back."]


@pytest.mark.parametrize("mode", ["steer", "interrupt"])
async def test_stop_at_any_moment_leaves_nothing_half_done(database_url: str, mode: Mode) -> None:
    """While a turn is claimed, started, running or settled: the moment is left to chance."""

    async def stop_after(core: Core, chat: str, steps: int) -> None:
        await core.say("Hello", chat)
        for _ in range(steps):
            await asyncio.sleep(0)
        await core.say("/stop", chat)

    async with running(database_url, mode=mode) as core:
        chats = [f"chat {number}" for number in range(40)]
        await asyncio.gather(
            *(stop_after(core, chat, 3 * number) for number, chat in enumerate(chats))
        )
        await whole(core)
        outcomes = [(await core.outcomes(chat))[0][1] for chat in chats]
        assert set(outcomes) <= {"answered", "interrupted", "withdrawn"}
        for chat, outcome in zip(chats, outcomes, strict=True):
            echoed = core.channel.texts(chat).count("echo Hello")
            assert echoed == (outcome == "answered")
        await core.asked("still there?", "chat 0")


async def test_a_stop_that_nobody_told_of_is_heard_all_the_same(database_url: str) -> None:
    """It was accepted by another node, or its commit took longer than its sender's patience."""
    held = Held("Once upon ")
    async with running(database_url, held) as core:
        await core.say("a story")
        await held.reached.wait()
        async with running(database_url, start=False) as other:
            await other.say("/stop")
        await until(lambda: "Once upon " in core.channel.texts())
        await whole(core)
        assert (await core.outcomes())[0] == ("a story", "interrupted")


# Fenced.


async def test_a_turn_that_was_taken_over_leaves_no_trace(database_url: str) -> None:
    """This process was paused so long that another one took its turn."""
    held, bench = Held("I say "), Bench()
    async with running(database_url, held, tools=bench.tools) as core:
        await core.say("Hello")
        await held.reached.wait()
        before = await core.transcript()
        [turn] = [turn for turn, event in core.shown if isinstance(event, TurnStarted)]
        other = Turns(core.database, session_of("any other id"))
        [row] = await core.fetch("SELECT owner, attempt FROM turn")
        await core.fetch("UPDATE turn SET owner = $1, attempt = 2", other.node)
        # Its new owner lives.
        await core.fetch(
            "INSERT INTO node (id, home, host, pid, lease_until)"
            " VALUES ($1, $1, '', 0, now() + interval '1 hour')",
            other.node,
        )
        held.release()
        await until(lambda: TurnEnded(turn.id, "failed") in shown(core))
        assert core.channel.got == []
        assert await core.transcript() == before
        [now] = await core.fetch("SELECT owner, attempt, state FROM turn")
        assert tuple(now) == (other.node, 2, "running")
        assert row["attempt"] == 1
