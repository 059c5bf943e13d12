"""A turn without a sign of life is ended with a reason, and its conversation goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

import asyncpg
import pytest

from opencraw.hooks import Facts, Hook, Hooks, Point
from opencraw.model import ModelEvent, ModelReply, Prompt, StillWorking, TextDelta, ThinkingDelta
from opencraw.tools.registry import Risk, Tool, tool
from opencraw.worker import dispatcher
from opencraw.worker import running as turns
from opencraw.worker.workshop import Patience
from tests.faults.proxy import PostgresProxy
from tests.fixtures.core import running, session_of, until
from tests.fixtures.script import Held, calls
from tests.worker.bench import Bench, script_of, whole

IMPATIENT = Patience(model=0.3, tool=0.3)


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(turns, "CANCEL_SECONDS", 0.1)


async def test_a_model_that_hangs_for_ever_ends_its_turn_and_not_its_lane(
    database_url: str,
) -> None:
    async with running(database_url, Held("I "), mode="followup", patience=IMPATIENT) as core:
        await core.say("one")
        await core.say("two")
        words, answer = await core.delivered(2)
        assert "the work on it came to a halt (waiting for the model)" in words
        assert "kept in this conversation" in words
        assert answer == "echo two"
        await whole(core)
        assert await core.outcomes() == [("one", "failed"), ("two", "answered")]
        [turn, _] = await core.fetch("SELECT failure, attempt FROM turn ORDER BY started_at")
        assert tuple(turn) == ("stuck: waiting for the model", 1)


class Stubborn:
    """A tool that takes no notice of its cancellation until a test lets it go."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.let_go = asyncio.Event()

    async def __call__(self) -> None:
        self.begun.set()
        while not self.let_go.is_set():
            try:
                await self.let_go.wait()
            except asyncio.CancelledError:
                continue

    @property
    def tools(self) -> tuple[Tool, ...]:
        @tool(risk=Risk.EFFECT)
        async def stubborn() -> str:
            """Work."""
            await self()
            return "worked"

        return (stubborn, *Bench().tools)


async def test_a_tool_that_swallows_its_cancellation_is_left_to_itself(database_url: str) -> None:
    stubborn = Stubborn()
    async with running(
        database_url,
        calls("stubborn", "quick"),
        mode="followup",
        patience=IMPATIENT,
        tools=stubborn.tools,
    ) as core:
        await core.say("one")
        await core.say("two")
        words, answer = await core.delivered(2)
        assert "came to a halt (running the tool stubborn)" in words
        assert answer == "echo two"
        await whole(core)
        before, shown = await core.transcript(), list(core.shown)
        results = [entry for entry in before if entry.kind == "tool_result"]
        assert len(results) == 2, "the calls of the turn are closed"
        left = [task for task in asyncio.all_tasks() if "_work_it" in repr(task)]
        stubborn.let_go.set()
        await asyncio.wait(left)
        assert len(left) == 1
        assert await core.transcript() == before, "what it does afterwards leaves no trace"
        assert core.shown == shown
        assert len(script_of(core).prompts) == 2


async def test_a_stop_that_a_tool_swallows_is_carried_out_all_the_same(database_url: str) -> None:
    stubborn = Stubborn()
    async with running(database_url, calls("stubborn"), tools=stubborn.tools) as core:
        await core.say("one")
        await stubborn.begun.wait()
        await core.say("/stop")
        await whole(core)
        assert (await core.outcomes())[0] == ("one", "interrupted")
        assert (await core.asked("two")).text == "echo two"
        stubborn.let_go.set()
        await until(lambda: not [t for t in asyncio.all_tasks() if "_work_it" in repr(t)])


async def test_after_a_stop_no_further_step_is_taken_whoever_swallowed_it(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tool that catches everything returns as if nothing had happened."""
    monkeypatch.setattr(turns, "CANCEL_SECONDS", 60.0)
    begun, bench = asyncio.Event(), Bench()

    @tool(risk=Risk.EFFECT)
    async def oblivious() -> str:
        """Work."""
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return "worked"

    async with running(
        database_url, calls("oblivious", "quick"), tools=[oblivious, *bench.tools]
    ) as core:
        await core.say("one")
        await begun.wait()
        await core.say("/stop")
        await whole(core)
        assert (await core.outcomes())[0] == ("one", "interrupted")
        assert bench.effects == []
        assert len(script_of(core).prompts) == 1


@pytest.mark.parametrize("sign", [ThinkingDelta("hm"), StillWorking(), TextDelta("well ")])
async def test_every_sign_of_life_counts(database_url: str, sign: ModelEvent) -> None:
    """A model may think for long, or write a long tool call, as long as it says that it does."""

    async def slow(_: Prompt) -> AsyncGenerator[ModelEvent]:
        began = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() < began + 3 * IMPATIENT.model:
            yield sign
            await asyncio.sleep(IMPATIENT.model / 10)
        yield ModelReply("done")

    async with running(database_url, slow, patience=IMPATIENT) as core:
        assert (await core.asked("think")).text == "done"
        await whole(core)


async def test_waiting_for_our_own_database_is_never_being_stuck(
    database_url: str, line: PostgresProxy
) -> None:
    held, bench = Held(reply=calls("quick")), Bench()
    async with running(
        line.url_of(database_url), held, patience=IMPATIENT, tools=bench.tools
    ) as core:
        await core.say("one")
        await held.reached.wait()
        line.hold()
        held.release()
        await passes(3 * IMPATIENT.model)
        line.release()
        assert await core.delivered(1) == ["echo one"]
        await whole(core)


async def test_nor_is_writing_down_the_end_of_a_turn(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody holds a row that is needed for it, and all else goes on."""
    held, other = Held(reply="done"), await asyncpg.connect(database_url)
    async with running(database_url, held, patience=IMPATIENT) as core:
        await core.say("one")
        await held.reached.wait()
        async with other.transaction():
            await other.execute("SELECT FROM session FOR UPDATE")
            held.release()
            await passes(3 * IMPATIENT.model)
        assert await core.delivered(1) == ["done"]
        await whole(core)
    await other.close()
    assert "no sign of life" not in caplog.text


async def test_nor_is_telling_hooks_of_it(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    told, at = asyncio.Event(), list[str]()

    async def slow(_point: Point, _facts: Facts) -> None:
        turn = core.dispatcher.running(session_of())
        at.append("" if turn is None else turn.doing.what)
        await passes(3 * IMPATIENT.model)
        told.set()

    hooks = Hooks({"slow": Hook(frozenset({Point.TURN_ENDED}), slow)})
    async with running(database_url, "done", patience=IMPATIENT, hooks=hooks) as core:
        assert (await core.asked("one")).text == "done"
        await told.wait()
        await whole(core)
    assert at == ["telling hooks how it ended"]
    assert "no sign of life" not in caplog.text


async def passes(seconds: float) -> None:
    """So much time passes."""
    clock = asyncio.get_running_loop().time
    over = clock() + seconds
    await until(lambda: clock() > over)
