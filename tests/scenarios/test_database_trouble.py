"""The database dies, falls silent, refuses and fills up under a daemon that lives on."""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import random
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import aiohttp
import pytest

from tests.fixtures.daemon import Daemon
from tests.fixtures.ledgers import name_of
from tests.fixtures.webchat_client import PATIENCE
from tests.scenarios.at_rest import connected
from tests.scenarios.world import (
    World,
    postgres_processes,
    postmaster,
    readiness,
    until,
    until_ready,
)

pytestmark = pytest.mark.timeout(120)

#: A tool runs for a while, and its result has to be written when the trouble is there.
BUSY = '[[tool append_line {{"line": "{line}", "seconds": 1.0}}]] [[words 20]]'


def signal_all(daemon: Daemon, number: signal.Signals) -> None:
    for pid in postgres_processes(daemon):
        with suppress(ProcessLookupError):
            os.kill(pid, number)


async def busy_daemon(world: World) -> Daemon:
    """A daemon with its own Postgres and three chats, in each of which a tool runs."""
    daemon = world.daemon()
    await daemon.start()
    for number in range(3):
        tab = await world.tab(f"chat{number}")
        line = f"{world.prefix}-{number}"
        world.say(tab, BUSY.format(line=line))
    for tab in world.tabs:
        await tab.until(lambda tab=tab: _tool_runs(tab.frames))  # type: ignore[misc]
    return daemon


def _tool_runs(frames: list[dict[str, str]]) -> bool:
    return any(frame["type"] == "tool" and frame["state"] == "started" for frame in frames)


async def all_is_well_on_one_socket(world: World) -> None:
    """Nothing was lost, no turn began anew, and nobody lost the connection."""
    daemon = world.daemons[0]
    assert daemon.process is not None
    assert daemon.process.returncode is None
    await until_ready(daemon)
    await world.all_is_well()
    assert all(tab.sockets == 1 for tab in world.tabs)
    for tab in world.tabs:
        [answer] = await tab.answered(name_of(tab.chat, 0))
        assert "(appended" in answer["content"]
    async with connected(world.database_url) as database:
        assert await database.fetchval("SELECT max(attempt) FROM turn") == 1


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGKILL])
async def test_a_server_that_crashes_is_back_and_nobody_noticed(
    embedded_world: World, number: signal.Signals
) -> None:
    daemon = await busy_daemon(embedded_world)
    before = postmaster(daemon)
    for tab in embedded_world.tabs:
        for _ in range(5):  # some are accepted, some are on their way
            embedded_world.say(tab)
    os.kill(before, number)
    for tab in embedded_world.tabs:
        embedded_world.say(tab)
    await all_is_well_on_one_socket(embedded_world)
    assert postmaster(daemon) != before


@asynccontextmanager
async def locked(world: World, tables: str) -> AsyncIterator[Callable[[str], Awaitable[None]]]:
    """Lock tables. What it gives waits until statements of the daemon wait for them, and ends
    those: `pg_terminate_backend` with their connection, `pg_cancel_backend` without."""
    url = world.database_url
    async with connected(url) as holder, connected(url) as executioner, holder.transaction():
        await holder.execute(f"LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE")

        async def end_who_waits(verb: str) -> None:
            sql = (
                f"SELECT count({verb}(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            async with asyncio.timeout(PATIENCE):
                while not await executioner.fetchval(sql):
                    await asyncio.sleep(0.01)

        yield end_who_waits


async def test_connections_that_end_in_the_middle_of_a_write_lose_nothing(world: World) -> None:
    daemon = world.daemon(extra="", environ={"OPENCRAW_QUEUE_MAX_CONCURRENCY": "20"})
    await daemon.start()
    for number in range(20):
        await world.tab(f"chat{number}")
    tables = itertools.cycle(("inbox", "turn, entry", "outbox"))
    for number in range(12):
        # All at once share a write; one alone has nobody to share with.
        for tab in world.tabs if number < 9 else world.tabs[number : number + 1]:
            world.say(tab, "[[words 5]]")
        for verb in ("pg_terminate_backend", "pg_cancel_backend"):
            async with locked(world, next(tables)) as end_who_waits:
                await end_who_waits(verb)
        await world.tabs[number].answered(*world.tabs[number].typed)
    damage = await world.all_is_well()
    assert (damage.accepted, damage.unknown) == (183, 0)
    assert all(tab.sockets == 1 for tab in world.tabs)
    assert daemon.process is not None
    assert daemon.process.returncode is None


async def test_connections_that_end_all_the_time_lose_nothing(world: World) -> None:
    daemon = world.daemon(extra="")
    await daemon.start()
    for number in range(5):
        await world.tab(f"chat{number}")
    ended = 0
    async with connected(world.database_url) as database:
        for _ in range(10):
            for tab in world.tabs:
                world.say(tab, "[[words 5]]")
            while any(tab.answer(name) is None for tab in world.tabs for name in tab.typed):
                ended += await database.fetchval(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
                await asyncio.sleep(random.uniform(0.01, 0.1))
    damage = await world.all_is_well()
    assert (damage.accepted, damage.unknown) == (50, 0)
    assert ended > 10
    assert all(tab.sockets == 1 for tab in world.tabs)


async def test_a_turn_that_was_given_up_is_taken_up_by_the_same_daemon(world: World) -> None:
    """Its read was ended by the server as too slow. The daemon lives, and nobody else will come."""
    daemon = world.daemon()
    await daemon.start()
    tab = await world.tab()
    name = world.say(tab, "[[stall]]")
    await tab.drafting()
    await daemon.kill()
    await tab.leave()
    async with locked(world, "entry") as end_who_waits:
        await daemon.start()
        await end_who_waits("pg_cancel_backend")
        await until(lambda: "was given up" in daemon.log.read_text())
    await tab.open()
    [answer] = await tab.answered(name)
    assert answer["kind"] == "reply"
    await world.all_is_well()


async def test_a_silent_server_is_waited_for_and_health_tells_the_truth(
    embedded_world: World,
) -> None:
    daemon = await busy_daemon(embedded_world)
    signal_all(daemon, signal.SIGSTOP)
    try:
        names = [embedded_world.say(tab) for tab in embedded_world.tabs]
        body = await until_ready(daemon, status=503)
        assert "database" in body["failing"]
        assert await health(daemon) == 200
        for tab, name in zip(embedded_world.tabs, names, strict=True):
            assert name not in tab.acks
            refusal = await tab.until(
                lambda tab=tab: tab.errors[0] if tab.errors else None,  # type: ignore[misc]
                "a refusal",
            )
            assert refusal["code"] == "SERVICE_UNAVAILABLE"
            assert refusal["retryable"]
    finally:
        signal_all(daemon, signal.SIGCONT)
    await all_is_well_on_one_socket(embedded_world)


async def test_a_read_only_server_is_waited_for(embedded_world: World) -> None:
    daemon = await busy_daemon(embedded_world)
    async with connected(embedded_world.database_url) as database:
        await database.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        await database.execute("SELECT pg_reload_conf()")
        # A connection hears of it when it next has something to do.
        body = await until_ready(daemon, status=503)
        assert "read-only" in body["checks"]["database"]
        names = [embedded_world.say(tab) for tab in embedded_world.tabs]
        for tab, name in zip(embedded_world.tabs, names, strict=True):
            assert name not in tab.acks
        await database.execute("SET default_transaction_read_only = off")
        await database.execute("ALTER SYSTEM RESET default_transaction_read_only")
        await database.execute("SELECT pg_reload_conf()")
    await all_is_well_on_one_socket(embedded_world)


async def test_a_full_disk_is_waited_for(embedded_world: World, passable_folder: Path) -> None:
    data = passable_folder / "one" / "data"
    data.mkdir(parents=True)
    with small_disk(data):
        daemon = await busy_daemon(embedded_world)
        filler = data / "filler"
        fill(filler)
        # Incompressible, so that they need room.
        bulk = base64.b64encode(os.urandom(600_000)).decode()
        for tab in embedded_world.tabs:
            for _ in range(8):
                embedded_world.say(tab, f"[[words 3]] {bulk}")
        body = await until_ready(daemon, status=503)
        assert "database" in body["failing"]
        assert await health(daemon) == 200
        filler.unlink()
        await all_is_well_on_one_socket(embedded_world)
        assert await daemon.stop() == 0


async def health(daemon: Daemon) -> int:
    async with aiohttp.request("GET", f"{daemon.url}/health") as response:
        return response.status


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A file system of its own, small enough to be filled."""
    command = ["mount", "-t", "tmpfs", "-o", "size=280m,mode=755", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    assert mounted.returncode == 0, (
        "This test fills a disk, so it needs one of its own, and only root may mount one: run it "
        f"as root. mount said: {mounted.stderr.strip()}"
    )
    try:
        yield
    finally:
        # Lazily: a server that a failed test left behind may still stand in it.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(file: Path) -> None:
    """Write until nothing more goes in."""
    with suppress(OSError), file.open("wb", buffering=0) as filler:
        for size in (1 << 20, 4096):
            with suppress(OSError):
                while filler.write(bytes(size)) == size:
                    pass


async def test_the_truth_is_told_while_all_is_well(world: World) -> None:
    daemon = world.daemon()
    await daemon.start()
    status, body = await readiness(daemon)
    assert (status, body["ready"], body["failing"]) == (200, True, [])
