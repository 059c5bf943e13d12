"""D1: a slow model holds nothing but its own lane, and a message costs the same however long the
conversation is."""

from __future__ import annotations

from tests.fixtures.core import Core, is_whole, running
from tests.fixtures.script import Held

TABLES = ("session", "turn", "inbox", "entry", "outbox")


async def test_d01_slow_llm_does_not_block_other_lanes(database_url: str) -> None:
    slow = Held()
    async with running(database_url, slow) as core:
        await core.say("think hard", "slow")
        await slow.reached.wait()
        written = [await _rows_written_by(core, number) for number in range(30)]
        assert core.channel.texts("slow") == [], "all that while the slow one was still thinking"
        assert written[-1] == written[1] <= 6
        slow.release()
        await core.delivered(1, "slow")
        await core.settled()
        await is_whole(core.database)


async def _rows_written_by(core: Core, number: int) -> int:
    """How many rows, old or new, one message and its answer touch."""
    [now] = await core.fetch("SELECT pg_current_xact_id()::text::bigint AS id")
    await core.asked(f"message {number}", "quick")

    async def sent() -> bool:
        return not await core.fetch("SELECT FROM outbox WHERE state <> 'sent' AND chat = 'quick'")

    while not await sent():
        pass
    counted = " UNION ALL ".join(
        f"SELECT count(*) AS n FROM {table} WHERE xmin::text::bigint >= $1" for table in TABLES
    )
    rows = await core.fetch(f"SELECT sum(n) AS n FROM ({counted}) AS each", now["id"])
    return int(rows[0]["n"])
