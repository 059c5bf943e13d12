from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from opencraw.errors import FailureKind, ModelFailure
from opencraw.events import DraftGrew, TurnEnded, TurnStarted
from opencraw.model import ModelEvent, ModelReply, Prompt, TextDelta
from opencraw.queue.turns import Turns
from tests.fixtures.core import address, running, session_of, until
from tests.fixtures.script import Held, calls
from tests.worker.bench import Bench, script_of, shown, whole

# An ordinary turn.


async def test_a_turn_is_shown_while_it_runs_and_delivered_at_its_end(database_url: str) -> None:
    held = Held("Well, ")
    async with running(database_url, held) as core:
        await core.say("Hello")
        await held.reached.wait()
        draft = core.dispatcher.draft(session_of(), address())
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
        assert events[-1] == TurnEnded(draft.turn_id, 1, "done")
        assert core.dispatcher.draft(session_of(), address()) is None


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


# Fenced.


async def test_a_turn_that_was_taken_over_leaves_no_trace(database_url: str) -> None:
    """This process was paused so long that another one took its turn."""
    held, bench = Held("I say "), Bench()
    async with running(database_url, held, tools=bench.tools) as core:
        await core.say("Hello")
        await held.reached.wait()
        before = await core.transcript()
        [began] = [event for _, event in core.shown if isinstance(event, TurnStarted)]
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
        await until(lambda: TurnEnded(began.turn_id, 1, "failed") in shown(core))
        assert core.channel.got == []
        assert await core.transcript() == before
        [now] = await core.fetch("SELECT owner, attempt, state FROM turn")
        assert tuple(now) == (other.node, 2, "running")
        assert row["attempt"] == 1
