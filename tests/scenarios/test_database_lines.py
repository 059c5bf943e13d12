"""The line to the database is slow, silent, cut or refused, while platform and model are well."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest

from opencraw.store.database import Database
from tests.faults.proxy import PostgresProxy, socket_folder
from tests.fixtures.daemon import Daemon
from tests.fixtures.ledgers import ModelCall, Pause, count, read_model_calls
from tests.scenarios.at_rest import connected
from tests.scenarios.platform import Platform, running_platform
from tests.scenarios.world import TOOLS, World, until, until_ready

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def platform(passable_folder: Path) -> AsyncIterator[Platform]:
    async with running_platform(passable_folder) as running:
        yield running


@pytest.fixture
async def line(database_url: str) -> AsyncIterator[PostgresProxy]:
    """A line over TCP to this test's database."""
    async with PostgresProxy(socket_folder(database_url)) as running:
        yield running


def daemon_on(world: World, line: PostgresProxy, platform: Platform, name: str = "one") -> Daemon:
    """A daemon that reaches its database over `line` only."""
    return world.daemon(
        name,
        extra=TOOLS + platform.section(),
        environ={"OPENCRAW_DATABASE__URL": line.url_of(world.database_url)},
    )


async def test_a_slow_database_costs_time_and_nothing_else(
    world: World, platform: Platform, line: PostgresProxy
) -> None:
    daemon = daemon_on(world, line, platform)
    await daemon.start()
    line.delay = 0.3
    for chat in ("a", "b"):
        await platform.say(chat, "[[words 5]]")
    body = await until_ready(daemon)
    assert body["ready"]
    damage = await platform.settled(world)
    assert (damage.accepted, damage.most, damage.unknown) == (2, 1, 0)


async def test_a_commit_of_unknown_outcome_doubles_nothing(
    world: World, platform: Platform, line: PostgresProxy
) -> None:
    """The server did it, and the answer never came: at each write of a message's whole journey."""
    daemon = daemon_on(world, line, platform)
    await daemon.start()
    for number in range(8):
        # The renewals of the lease are cut, too: which write it is, chance decides.
        line.cut_at_next_answer = True
        [name] = await platform.say(f"chat{number % 2}", '[[tool calculate {"expression": "6*7"}]]')
        await platform.answered(name)
    damage = await platform.settled(world)
    assert line.cuts >= 8
    assert (damage.accepted, damage.most, damage.unknown) == (8, 1, 0)


async def test_a_black_hole_to_the_database_heals_by_itself(
    world: World, platform: Platform, line: PostgresProxy
) -> None:
    """Nobody is told that these connections are dead: the old ones never come back."""
    daemon = daemon_on(world, line, platform)
    await daemon.start()
    [first] = await platform.say("a")
    await platform.answered(first)
    line.hold()
    await platform.say("a", "", "")
    await until_ready(daemon, status=503)
    assert platform.account().confirmed <= {first}
    line.cut()
    line.release()
    began = time.monotonic()
    damage = await platform.settled(world)
    assert time.monotonic() - began < 15
    assert (damage.accepted, damage.most, damage.unknown) == (3, 1, 0)


async def test_a_server_without_free_connections_is_waited_for(
    world: World, platform: Platform
) -> None:
    daemon = world.daemon(extra=TOOLS + platform.section())
    await daemon.start()
    async with contextlib.AsyncExitStack() as guests, connected(world.database_url) as host:
        with contextlib.suppress(asyncpg.TooManyConnectionsError):
            while True:
                await guests.enter_async_context(connected(world.database_url))
        # Every place is taken; now the daemon loses its own, and we sit down on them.
        ended = (
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'opencraw'"
        )
        assert await host.fetchval(ended)
        with contextlib.suppress(asyncpg.TooManyConnectionsError):
            while True:
                await guests.enter_async_context(connected(world.database_url))
        await platform.say("a", "", "")
        await until(lambda: "too many clients" in daemon.log.read_text())
    damage = await platform.settled(world)
    assert (damage.accepted, damage.most, damage.unknown) == (2, 1, 0)


@contextlib.asynccontextmanager
async def holding(url: str, statement: str) -> AsyncIterator[Callable[[str], Awaitable[object]]]:
    """A foreign session in a transaction that began with `statement`, and says more on demand. It
    would never look for deadlocks itself."""
    async with connected(url) as foreign, foreign.transaction():
        await foreign.execute("SET LOCAL deadlock_timeout = '60s'")
        await foreign.execute(statement)
        yield foreign.execute


async def test_a_deadlock_is_resolved_by_trying_again(
    database: Database, database_url: str
) -> None:
    await _make_letters(database_url)
    async with holding(database_url, "UPDATE second SET n = n") as say:
        # One transaction of ours: first the one table, then the other, which is held.
        writes = [asyncio.create_task(database.commit(_add(table), (1,)))
                  for table in ("first", "second")]  # fmt: skip
        await _until_somebody_waits(database_url)
        # Now each waits for the other; the server ends ours, because we look first.
        await say("UPDATE first SET n = n")
    answers = await asyncio.gather(*writes)
    assert all(answer is not None for answer in answers)
    async with connected(database_url) as reader:
        assert await reader.fetchval("SELECT first.n + second.n FROM first, second") == 4


def _add(table: str) -> str:
    return (
        "WITH given AS (SELECT * FROM unnest($1::integer[]) WITH ORDINALITY AS row(by, ord))"
        f" UPDATE {table} SET n = 1 + given.by FROM given RETURNING given.ord"
    )


async def _make_letters(url: str) -> None:
    async with connected(url) as connection:
        for table in ("first", "second"):
            await connection.execute(f"CREATE TABLE {table} AS SELECT 1 AS n")


async def _until_somebody_waits(url: str) -> None:
    async with connected(url) as looker, asyncio.timeout(10):
        while not await looker.fetchval(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ):
            await asyncio.sleep(0.01)


async def test_a_table_that_somebody_locked_is_waited_for_and_named(
    world: World, platform: Platform
) -> None:
    daemon = world.daemon(extra=TOOLS + platform.section())
    await daemon.start()
    async with connected(world.database_url) as holder, holder.transaction():
        await holder.execute("LOCK TABLE inbox IN ACCESS EXCLUSIVE MODE")
        await platform.say("a", "", "")
        body = await until_ready(daemon, status=503)
        assert "lock timeout" in body["checks"]["database"]
        assert not platform.account().confirmed
    damage = await platform.settled(world)
    assert (damage.accepted, damage.most, damage.unknown) == (2, 1, 0)


async def test_a_node_that_is_cut_off_from_the_database_sends_nothing_that_another_sends(
    world: World, platform: Platform, line: PostgresProxy
) -> None:
    """It still reaches the platform and the model, and answers that are nearly finished."""
    cut_off, other = daemon_on(world, line, platform), world.daemon("two", extra=TOOLS)
    other.config.write_text(other.config.read_text() + platform.section())
    await cut_off.start()
    for number in range(4):
        await platform.say(f"chat{number}", "[[words 450]] [[delay 0.01]]", "")
    await until(lambda: len(_calls(world, platform)) == 4)
    await other.start()
    await _knows_that_others_live(world)
    began = time.time()
    line.refusing = True
    line.hold()
    line.cut()
    await until(lambda: "the lease of this node is over" in cut_off.log.read_text())
    damage = await platform.settled(world)
    assert (damage.accepted, damage.most, damage.unknown) == (8, 1, 0)
    line.refusing = False
    line.release()
    await until_ready(cut_off)
    [name] = await platform.say("chat0")
    await platform.answered(name)
    assert (await platform.settled(world)).most == 1
    cut = [Pause(cut_off.environ["OPENAI_API_KEY"], began, time.time())]
    assert count([], _calls(world, platform), pauses=cut).overlaps == 0


async def _knows_that_others_live(world: World) -> None:
    """Wait until every node has renewed its lease: only then can it know of one that just came."""
    async with connected(world.database_url) as reader, asyncio.timeout(10):
        leases = "SELECT min(lease_until), max(lease_until) FROM node"
        [[oldest, newest]] = await reader.fetch(leases)
        until_all_are_newer = newest
        while oldest <= until_all_are_newer:
            await asyncio.sleep(0.05)
            [[oldest, newest]] = await reader.fetch(leases)


def _calls(world: World, platform: Platform) -> list[ModelCall]:
    return read_model_calls(world.model.ledger, platform.prefix)
