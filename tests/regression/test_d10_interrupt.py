"""D10: a turn that was cut short leaves a history that every vendor takes."""

from __future__ import annotations

import asyncio

import pytest

from opencraw.events import DraftGrew, ToolShown, TurnEnded, TurnStarted
from opencraw.model import AssistantMessage, ToolMessage
from opencraw.tools.registry import Risk, tool
from tests.fixtures.core import is_whole, running
from tests.fixtures.script import Held, Script, calls, objections


@pytest.mark.parametrize("by", ["a newer message", "/stop", "/new"])
@pytest.mark.parametrize(
    "moment", ["before the first word", "while it speaks", "while a tool runs"]
)
async def test_d10_interrupt_leaves_valid_history(database_url: str, moment: str, by: str) -> None:
    begun, held = asyncio.Event(), Held("" if moment.startswith("before") else "Once upon ")

    @tool(risk=Risk.EFFECT)
    async def endless() -> str:
        """Never end."""
        begun.set()
        await asyncio.Event().wait()
        return ""

    step = calls("endless", "endless", text="Let me see.") if "tool" in moment else held
    async with running(database_url, step, mode="interrupt", tools=[endless]) as core:
        await core.say("a story")
        await (begun if "tool" in moment else held.reached).wait()
        await core.say("something else" if by.startswith("a") else by)
        await core.settled()
        assert (await core.asked("and now?")).text == "echo and now?"
        await core.settled()
        await is_whole(core.database)

        # The script is as strict as the strictest vendor; say once more what that means.
        assert isinstance(core.script, Script)
        shown = core.script.prompts[-1].messages
        assert list(objections(shown)) == []
        if by == "/new":
            assert len(shown) == 1, "of what was cut short nothing leaks into the new conversation"
        elif "tool" in moment:
            results = [each.text for each in shown if isinstance(each, ToolMessage)]
            assert len(results) == 2
            assert all(text.startswith("Cancelled") for text in results)
        elif moment.startswith("while"):
            texts = [each.text for each in shown if isinstance(each, AssistantMessage)]
            assert texts[0].startswith("Once upon")
            assert "interrupted" in texts[0]

        # The client saw every call end, and the turn.
        began = next(event for _, event in core.shown if isinstance(event, TurnStarted))
        of_turns = [
            event
            for _, event in core.shown
            if isinstance(event, TurnStarted | DraftGrew | ToolShown | TurnEnded)
        ]
        events = [event for event in of_turns if event.turn_id == began.turn_id]
        ended = next(event for event in events if isinstance(event, TurnEnded))
        assert ended.outcome == "interrupted"
        assert events[-1] == ended, "no delta of a turn comes after its end"
        states = [event.state for event in events if isinstance(event, ToolShown)]
        assert states == (["started", "cancelled", "cancelled"] if "tool" in moment else [])
        cut = [line for line in core.channel.lines() if line.interrupted]
        assert len(cut) == (0 if moment.startswith("before") else 1)
