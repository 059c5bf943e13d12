"""D2: a lane that is full refuses, says so, and is nobody else's trouble."""

from __future__ import annotations

import pytest

from opencraw.errors import QueueFull
from tests.fixtures.core import is_whole, running, session_of
from tests.fixtures.script import Held

BUFFER = 5


async def test_d02_full_lane_never_blocks_dispatch(database_url: str) -> None:
    held = Held()
    async with running(database_url, held, mode="followup", cap=BUFFER, drop="block") as core:
        await core.say("running", "full")
        await held.reached.wait()
        for number in range(BUFFER):
            await core.say(f"waiting {number}", "full")
        with pytest.raises(QueueFull, match="wait already") as refused:
            await core.say("one too many", "full")
        assert refused.value.code == "QUEUE_FULL"
        assert core.dispatcher.waiting(session_of("full")) == BUFFER

        assert (await core.asked("hello", "free")).text == "echo hello"
        assert (await core.asked("/status", "full")).kind == "notice"

        held.release()
        await core.delivered(2 + BUFFER, "full")
        await core.say("now there is room", "full")
        await core.settled()
        await is_whole(core.database)
        said = [text for text, _ in await core.outcomes("full")]
        assert "one too many" not in said, "what was refused was not taken"
        assert said[-1] == "now there is room"
