"""A process ends in the middle of a turn; another one on the same data directory goes on."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest

from opencraw.contract import Rights
from opencraw.events import TurnStarted
from opencraw.model import ToolMessage
from opencraw.settings import Mode
from opencraw.tools.registry import Risk, Tool, tool
from opencraw.worker import dispatcher
from opencraw.worker.running import MOST_DEATHS
from tests.fixtures.core import Core, is_whole, running, session_of
from tests.fixtures.script import Held, Script, calls


@pytest.fixture
def home() -> UUID:
    return uuid4()


def stuck_tool(risk: Risk, begun: asyncio.Event, runs: list[str]) -> Tool:
    """A tool that the process does not survive the first time."""

    @tool(risk=risk)
    async def act() -> str:
        """Act."""
        runs.append("run")
        if len(runs) == 1:
            begun.set()
            await asyncio.Event().wait()
        return "acted"

    return act


async def whole(core: Core) -> None:
    await core.settled()
    await is_whole(core.database)


async def test_a_stop_hands_a_turn_over_and_it_ends_exactly_once(
    database_url: str, home: UUID
) -> None:
    held = Held("I begin ")
    async with running(database_url, held, home=home) as before:
        await before.say("Hello")
        await held.reached.wait()
    assert before.channel.got == []
    async with running(database_url, home=home) as after:
        assert await after.delivered(1) == ["echo Hello"]
        await whole(after)
        [started] = [event for _, event in after.shown if isinstance(event, TurnStarted)]
        assert started.attempt == 2
        assert await after.outcomes() == [("Hello", "answered")]


async def test_what_waited_behind_a_turn_is_answered_too_and_in_order(
    database_url: str, home: UUID
) -> None:
    held = Held()
    async with running(database_url, held, home=home, mode="followup") as before:
        await before.say("one")
        await held.reached.wait()
        await before.say("two")
        await before.say("three")
    async with running(database_url, home=home, mode="followup") as after:
        assert await after.delivered(3) == ["echo one", "echo two", "echo three"]
        await whole(after)


async def test_more_turns_than_slots_are_all_recovered_at_one_look(
    database_url: str, home: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = [Held() for _ in range(6)]
    async with running(database_url, *steps, home=home, max_concurrency=6) as before:
        for number, step in enumerate(steps):
            await before.say("hello", f"chat {number}")
            await step.reached.wait()
    monkeypatch.setattr(dispatcher, "POLL_SECONDS", 3600.0)
    async with running(database_url, home=home, max_concurrency=2) as after:
        await whole(after)
        assert len(after.channel.got) == 6


async def test_steps_that_were_complete_are_not_taken_again(database_url: str, home: UUID) -> None:
    runs: list[str] = []

    @tool(risk=Risk.EFFECT)
    async def act() -> str:
        """Act."""
        runs.append("run")
        return "acted"

    held = Held("and then ")
    async with running(
        database_url, calls("act", text="First I act."), held, home=home, tools=[act]
    ) as before:
        await before.say("Hello")
        await held.reached.wait()
    async with running(database_url, "Done.", home=home, tools=[act]) as after:
        assert await after.delivered(1) == ["First I act.\n\nDone."]
        assert after.channel.lines()[0].tools == ("act",)
        await whole(after)
        session = await after.sessions.session(session_of())
        assert session is not None
        assert session.prompt_tokens == 17, "the first step was paid for once"
    assert runs == ["run"]


@pytest.mark.parametrize("risk", list(Risk))
async def test_a_tool_that_was_under_way(database_url: str, home: UUID, risk: Risk) -> None:
    """What only reads runs again; what changes something may have happened and is not repeated."""
    begun, runs = asyncio.Event(), list[str]()
    tools = [stuck_tool(risk, begun, runs)]
    async with running(database_url, calls("act"), home=home, tools=tools) as before:
        await before.say("Hello")
        await begun.wait()
    async with running(database_url, home=home, tools=tools) as after:
        assert await after.delivered(1) == ["echo Hello"]
        await whole(after)
        assert isinstance(after.script, Script)
        [result] = [
            each for each in after.script.prompts[-1].messages if isinstance(each, ToolMessage)
        ]
    if risk is Risk.READ:
        assert (len(runs), result.text, result.failed) == (2, "acted", False)
    else:
        assert (len(runs), result.failed) == (1, True)
        assert "may or may not have happened" in result.text


async def test_a_turn_that_kills_its_process_again_and_again_is_given_up_with_words(
    database_url: str, home: UUID
) -> None:
    for _ in range(MOST_DEATHS):
        held = Held()
        async with running(database_url, held, home=home) as core:
            if not await core.fetch("SELECT FROM turn"):
                await core.say("poison")
            await held.reached.wait()
            core.dies = True
    async with running(database_url, home=home) as core:
        [words] = await core.delivered(1)
        assert f"broke off {MOST_DEATHS} times" in words
        await whole(core)
        assert await core.outcomes() == [("poison", "failed")]
        assert (await core.asked("are you there?")).text == "echo are you there?"


async def test_of_a_turn_that_is_given_up_no_tool_call_stays_open(
    database_url: str, home: UUID
) -> None:
    begun = asyncio.Event()

    @tool(risk=Risk.READ)
    async def act() -> str:
        """Act."""
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError("nobody waits for that long")

    for _ in range(MOST_DEATHS):
        begun.clear()
        async with running(database_url, calls("act"), home=home, tools=[act]) as core:
            if not await core.fetch("SELECT FROM turn"):
                await core.say("poison")
            await begun.wait()
            core.dies = True
    async with running(database_url, home=home, tools=[act]) as core:
        await core.delivered(1)
        await whole(core)
        [result] = await core.fetch(
            "SELECT call_id, tool_name, failed FROM entry WHERE kind = 'tool_result'"
        )
        [[call_id]] = await core.fetch(
            "SELECT tool_calls -> 0 ->> 'id' FROM entry WHERE tool_calls IS NOT NULL"
        )
        assert tuple(result) == (call_id, "act", True)


async def test_nobody_dies_of_a_turn_that_is_handed_over(database_url: str, home: UUID) -> None:
    """However often a daemon is stopped at work: a long turn is not a poisonous one."""
    for _ in range(MOST_DEATHS + 1):
        held = Held()
        async with running(database_url, held, home=home) as core:
            if not await core.fetch("SELECT FROM turn"):
                await core.say("think long")
            await held.reached.wait()
    async with running(database_url, home=home) as core:
        assert await core.delivered(1) == ["echo think long"]
        await whole(core)
        [turn] = await core.fetch("SELECT attempt, deaths FROM turn")
        assert tuple(turn) == (MOST_DEATHS + 2, 0)


async def test_a_stop_outlives_the_process_that_should_have_heard_it(
    database_url: str, home: UUID
) -> None:
    held = Held()
    async with running(database_url, held, home=home) as before:
        await before.say("Hello")
        await held.reached.wait()
    async with running(database_url, home=home, start=False) as between:
        await between.say("/stop")
    async with running(database_url, home=home) as after:
        await whole(after)
        assert after.channel.texts() == ["Stopped: the running answer ends."]
        assert (await after.outcomes())[0] == ("Hello", "interrupted")


async def test_a_stop_that_comes_after_death_keeps_what_was_said_and_closes_what_was_open(
    database_url: str, home: UUID
) -> None:
    begun = asyncio.Event()
    tools = [stuck_tool(Risk.EFFECT, begun, [])]
    async with running(
        database_url, calls("act", "act", text="I begin."), home=home, tools=tools
    ) as before:
        await before.say("Hello")
        await begun.wait()
    async with running(database_url, home=home, start=False) as between:
        await between.say("/stop")
    async with running(database_url, home=home, tools=tools) as after:
        await whole(after)
        assert "I begin." in after.channel.texts()
        assert [line.interrupted for line in after.channel.lines() if line.kind == "reply"] == [
            True
        ]
        kinds = [entry.kind for entry in await after.transcript()]
        assert kinds.count("tool_result") == 2
        await after.asked("go on")


async def test_an_interrupting_message_outlives_the_process_too(
    database_url: str, home: UUID
) -> None:
    held = Held()
    async with running(database_url, held, home=home, mode="interrupt") as before:
        await before.say("one")
        await held.reached.wait()
    async with running(database_url, home=home, mode="interrupt", start=False) as between:
        await between.say("two")
    async with running(database_url, home=home, mode="interrupt") as after:
        assert await after.delivered(1) == ["echo two"]
        await whole(after)
        assert await after.outcomes() == [("one", "interrupted"), ("two", "answered")]


async def test_a_guest_who_waits_does_not_end_the_owners_turn_at_a_restart(
    database_url: str, home: UUID
) -> None:
    held = Held()
    async with running(database_url, held, home=home, mode="interrupt") as before:
        await before.say("one")
        await held.reached.wait()
    async with running(database_url, home=home, mode="interrupt", start=False) as between:
        await between.say("two", rights=Rights.GUEST)
    async with running(database_url, home=home, mode="interrupt") as after:
        assert await after.delivered(2) == ["echo one", "echo two"]
        await whole(after)


@pytest.mark.parametrize("mode", ["steer", "followup"])
async def test_the_mode_that_people_chose_holds_after_a_restart(
    database_url: str, home: UUID, mode: Mode
) -> None:
    begun = asyncio.Event()
    async with running(database_url, Held(), home=home) as before:
        await before.say(f"/queue {mode}")
        await before.say("one")
        await before.delivered(1)
        held = before.script
        assert isinstance(held, Script)
        while not held.prompts:
            await asyncio.sleep(0.004)
    again = Held(reply=calls("act"))
    async with running(
        database_url,
        again,
        home=home,
        mode="collect",
        tools=[stuck_tool(Risk.EFFECT, begun, ["before"])],
    ) as after:
        await again.reached.wait()
        await after.say("two")
        again.release()
        texts = await after.delivered(1 if mode == "steer" else 2)
        await whole(after)
        assert texts == (["echo two"] if mode == "steer" else ["echo one", "echo two"])


async def test_a_node_whose_lease_ended_is_replaced_although_it_lives(database_url: str) -> None:
    """Another data directory, another node: it may take over only what is certainly abandoned."""
    held = Held("I ")
    async with running(database_url, held) as one:
        await one.say("Hello")
        await held.reached.wait()
        async with running(database_url) as two:
            assert await two.turns.abandoned([], 10) == []
            keeping_the_lease = one.running.pop(0)
            keeping_the_lease.cancel()
            await one.node.leave()
            assert await two.delivered(1) == ["echo Hello"]
            held.release()
            await whole(two)
            assert one.channel.got == []
