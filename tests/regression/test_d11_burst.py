"""D11: somebody types five lines in a second; each mode does with them what it promises."""

from __future__ import annotations

import asyncio

import pytest

from opencraw.settings import Mode
from tests.fixtures.core import is_whole, running
from tests.fixtures.script import Script

LINES = ["So", "I was thinking", "about tomorrow", "you know", "what do you think?"]
LAST = f"echo {LINES[-1]}"


@pytest.mark.parametrize(
    ("mode", "replies", "outcomes", "collected", "dropped", "debounced"),
    [
        ("collect", [LAST], ["answered"] * 5, [5], [0], [0]),
        ("steer", [LAST], ["superseded"] * 4 + ["answered"], [0], [4], [0]),
        ("interrupt", [LAST], ["superseded"] * 4 + ["answered"], [0], [4], [0]),
        (
            "followup",
            [f"echo {line}" for line in LINES],
            ["answered"] * 5,
            [0] * 5,
            [0] * 5,
            [5, 4, 3, 2, 0],
        ),
    ],
)
async def test_d11_burst_collapses_per_mode(
    database_url: str,
    mode: Mode,
    replies: list[str],
    outcomes: list[str],
    collected: list[int],
    dropped: list[int],
    debounced: list[int],
) -> None:
    async with running(database_url, mode=mode, debounce_ms=900) as core:
        for line in LINES:
            await core.say(line)
            await asyncio.sleep(0.15)  # the pace at which somebody types
        await core.settled()
        await is_whole(core.database)
        assert core.channel.texts() == replies
        assert [outcome for _, outcome in await core.outcomes()] == outcomes
        rows = await core.fetch(
            "SELECT queue_collected_messages, queue_dropped_messages, queue_debounced_messages"
            "  FROM turn ORDER BY started_at"
        )
        assert [tuple(row) for row in rows] == list(zip(collected, dropped, debounced, strict=True))
        # None of them is lost: the model reads every line.
        assert isinstance(core.script, Script)
        texts = [message.text for message in core.script.prompts[-1].messages]
        assert [text for text in texts if text in LINES] == LINES


async def test_d11_a_burst_longer_than_its_window_is_not_held_back(database_url: str) -> None:
    """The window is opened by the first line and not prolonged by the others."""
    async with running(database_url, mode="collect", debounce_ms=150) as core:
        answered_at = None
        for number in range(100):
            await core.say(f"line {number}")
            await asyncio.sleep(0.02)
            if core.channel.got:
                answered_at = number
                break
        assert answered_at is not None, "whoever keeps typing is answered all the same"
        await core.settled()
        await is_whole(core.database)
