from __future__ import annotations

from tests.fixtures.core import is_whole, running


async def test_a_message_is_answered(database_url: str) -> None:
    async with running(database_url, "Hello to you.") as core:
        line = await core.asked("Hello")
        assert (line.kind, line.text) == ("reply", "Hello to you.")
        await core.settled()
        await is_whole(core.database)
