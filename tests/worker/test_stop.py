from __future__ import annotations

import asyncio

import pytest

from opencraw.model import ToolMessage
from opencraw.settings import Mode
from tests.fixtures.core import Core, running, until
from tests.fixtures.script import Held, calls
from tests.worker.bench import Bench, script_of, whole


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
        seqs = [line.seq for line in await core.reader.history(core.channel.got[0].address)]
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


async def test_a_turn_that_finds_its_conversation_begun_anew_asks_no_model(
    database_url: str,
) -> None:
    """Between the turn's beginning and its first look somebody said /new, and word of that is
    still on its way."""
    async with running(database_url) as core:
        await core.fetch(
            "CREATE FUNCTION begin_anew() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " UPDATE session SET reset_seq = NEW.seq WHERE id = NEW.session_id; RETURN NULL;"
            " END $$"
        )
        await core.fetch(
            "CREATE TRIGGER begin_anew AFTER INSERT ON entry FOR EACH ROW"
            " WHEN (NEW.kind = 'user') EXECUTE FUNCTION begin_anew()"
        )
        await core.say("a story")
        await core.settled()
        assert script_of(core).prompts == []
        assert core.channel.texts() == []
        assert await core.outcomes() == [("a story", "interrupted")]
        await core.fetch("DROP FUNCTION begin_anew CASCADE")
        assert (await core.asked("another")).text == "echo another"
