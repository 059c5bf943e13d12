"""The daemon dies at every step of summing a conversation up, and the conversation goes on."""

from __future__ import annotations

import asyncio
import signal

import asyncpg
import pytest

from tests.fixtures.daemon import Daemon
from tests.fixtures.webchat_client import Tab
from tests.scenarios.world import TOOLS, World

pytestmark = pytest.mark.timeout(120)

MEMORY = """
[memory]
enabled = true

[context]
max_prompt_tokens = 2000
compaction_enabled = true
compaction_trigger_tokens = 1200
compaction_retain_messages = 4
"""
#: In the order in which summing up meets them.
STEPS = ("flush_called", "flushed", "summed_up", "compacted")


async def talk(world: World, tab: Tab, messages: int) -> None:
    """Say so much, one after the other."""
    for _ in range(messages):
        await tab.answered(world.say(tab, "[[words 150]]"))


async def talk_until_death(world: World, tab: Tab, daemon: Daemon) -> None:
    """Say one thing after the other until somebody is dead."""
    talking = asyncio.create_task(talk(world, tab, 20))
    dying = asyncio.create_task(daemon.died())
    await asyncio.wait([talking, dying], return_when=asyncio.FIRST_COMPLETED)
    talking.cancel()
    assert dying.done(), "the daemon never came to that step"
    assert dying.result() == -signal.SIGKILL


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("step", STEPS)
async def test_nothing_is_lost_or_kept_twice_when_the_daemon_is_killed_there(
    world: World, step: str, nth: int
) -> None:
    daemon = world.daemon(extra=TOOLS + MEMORY)
    await daemon.start(OPENCRAW_CRASHPOINT=f"{step}:{nth}")
    tab = await world.tab()
    await talk_until_death(world, tab, daemon)
    connection = await asyncpg.connect(world.database_url)
    before = await kept(connection)
    await daemon.start()
    await talk(world, tab, 8)
    damage = await world.all_is_well()
    assert damage.unknown == 0
    after = await kept(connection)
    assert after[: len(before)] == before, "what memory had stays as it was"
    assert len(set(after)) == len(after)
    [row] = await connection.fetch(
        "SELECT checkpoint_seq, begin_seq, flushed_seq FROM session WHERE begin_seq > 0"
    )
    assert 0 < row["begin_seq"] <= row["flushed_seq"]
    lines = await connection.fetch(
        "SELECT seq, covers FROM entry WHERE kind = 'checkpoint' ORDER BY seq"
    )
    assert lines[-1]["seq"] == row["checkpoint_seq"]
    assert [line["covers"] for line in lines] == sorted({line["covers"] for line in lines})
    await said_is_somewhere(connection)
    await connection.close()


async def kept(connection: asyncpg.Connection) -> list[str]:
    rows = await connection.fetch(
        "SELECT text FROM memory WHERE kind = 'pre_compaction_flush' ORDER BY created_at"
    )
    return [row["text"] for row in rows]


async def said_is_somewhere(connection: asyncpg.Connection) -> None:
    """Every message that left the prompts is in memory, word for word."""
    rows = await connection.fetch(
        "SELECT text FROM entry WHERE kind = 'user'"
        "   AND seq <= (SELECT begin_seq FROM session WHERE session.id = entry.session_id)"
    )
    memory = "\n".join(await kept(connection))
    assert rows
    assert [row["text"] for row in rows if row["text"] not in memory] == []
