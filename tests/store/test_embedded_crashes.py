"""Every scenario is about what a killed daemon or a killed server leaves behind."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from itertools import count
from pathlib import Path

from opencraw.store.database import Database
from opencraw.store.embedded import EmbeddedPostgres
from opencraw.store.postmaster import remove_stale_lock_files
from opencraw.store.settings import DatabaseSettings
from tests.faults.proxy import socket_folder
from tests.store.lives import Scenario, Scenarios, as_either_user, ask, live, runs

SCENARIOS = Scenarios()
scenario = SCENARIOS.add


@as_either_user(SCENARIOS)
def test_embedded(
    life: Scenario, folder: Path, for_everybody: DatabaseSettings, *, ordinary: bool
) -> None:
    live(life, folder, for_everybody, ordinary=ordinary)


@scenario
async def a_server_left_by_a_killed_daemon_is_taken_over(
    folder: Path, settings: DatabaseSettings
) -> None:
    """The killed daemon is a process of its own, so that nobody waits for its child."""
    daemon = os.fork()
    if daemon == 0:
        _start_and_die(folder, settings)
    await asyncio.to_thread(os.waitpid, daemon, 0)
    left = int((folder / "postgres/cluster/data/postmaster.pid").read_text().split()[0])
    async with EmbeddedPostgres(folder, settings) as server:
        assert server.pid == left
        assert await ask(server.url, "SELECT n FROM letter") == 42
    assert not runs(left)


@scenario
async def a_daemon_killed_during_initdb_leaves_no_half_cluster(
    folder: Path, settings: DatabaseSettings
) -> None:
    daemon = os.fork()
    if daemon == 0:
        _start_and_die(folder, settings)
    async with asyncio.timeout(10):
        while not _is_initdb_at_work(folder):
            await asyncio.sleep(0.002)
    os.kill(daemon, signal.SIGKILL)
    await asyncio.to_thread(os.waitpid, daemon, 0)
    assert not (folder / "postgres/cluster").exists()
    async with EmbeddedPostgres(folder, settings) as server:
        assert await ask(server.url, "SELECT 1") == 1


def _is_initdb_at_work(folder: Path) -> bool:
    return any(folder.glob("postgres/new-*/data/base"))


def _start_and_die(folder: Path, settings: DatabaseSettings) -> None:
    async def start_and_die() -> None:
        async with EmbeddedPostgres(folder, settings) as server:
            await ask(server.url, "CREATE TABLE letter AS SELECT 42 AS n")
            os.kill(os.getpid(), signal.SIGKILL)

    # The loop of the parent is not ours.
    asyncio.events._set_running_loop(None)
    asyncio.run(start_and_die())


@scenario
async def a_pid_file_that_names_a_living_stranger_is_not_believed(
    folder: Path, settings: DatabaseSettings
) -> None:
    async with EmbeddedPostgres(folder, settings) as server:
        await ask(server.url, "CREATE TABLE letter AS SELECT 42 AS n")
        base = folder / "postgres"
        locks = [base / "cluster/data/postmaster.pid", base / "run/.s.PGSQL.5432.lock"]
        left = {lock: lock.read_text().splitlines() for lock in locks}
    stranger = _stranger()
    for lock, lines in left.items():
        lock.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        shutil.chown(lock, (base / "cluster").stat().st_uid)
    async with EmbeddedPostgres(folder, settings) as server:
        assert server.pid != stranger.pid
        assert await ask(server.url, "SELECT n FROM letter") == 42
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


@scenario
async def lock_files_stay_while_a_server_works_there(
    folder: Path, settings: DatabaseSettings
) -> None:
    data = folder / "postgres/cluster/data"
    async with EmbeddedPostgres(folder, settings) as server:
        right = (data / "postmaster.pid").read_text()
        stranger = _stranger()
        (data / "postmaster.pid").write_text(f"{stranger.pid}\n")
        remove_stale_lock_files(data, socket_folder(server.url))
        assert (data / "postmaster.pid").exists()
        (data / "postmaster.pid").write_text(right)
    stranger.kill()
    stranger.wait()


def _stranger() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "60"])


@scenario
async def a_killed_server_comes_back_while_the_daemon_lives(
    folder: Path, settings: DatabaseSettings
) -> None:
    async with EmbeddedPostgres(folder, settings) as server:
        watch = asyncio.create_task(server.watch())
        await ask(server.url, "CREATE TABLE letter AS SELECT 42 AS n")
        for _ in range(2):
            await _kill_and_wait_for_the_next(server)
            assert await ask(server.url, "SELECT n FROM letter") == 42
        watch.cancel()


async def _kill_and_wait_for_the_next(server: EmbeddedPostgres) -> None:
    killed = server.pid
    os.kill(killed, signal.SIGKILL)
    async with asyncio.timeout(10):
        while server.pid == killed:
            await asyncio.sleep(0.01)


@scenario
async def a_server_that_was_taken_over_is_watched_too(
    folder: Path, settings: DatabaseSettings
) -> None:
    async with EmbeddedPostgres(folder, settings, stop=False) as first:
        pass
    async with EmbeddedPostgres(folder, settings) as second:
        watch = asyncio.create_task(second.watch())
        assert second.pid == first.pid
        await _kill_and_wait_for_the_next(second)
        assert await ask(second.url, "SELECT 1") == 1
        watch.cancel()


@scenario
async def a_server_without_pidfd_is_watched_by_polling(
    folder: Path, settings: DatabaseSettings
) -> None:
    del os.pidfd_open  # an older kernel, or macOS
    await a_killed_server_comes_back_while_the_daemon_lives(folder, settings)


@scenario
async def nothing_acknowledged_is_lost_when_the_server_crashes_under_load(
    folder: Path, settings: DatabaseSettings
) -> None:
    write = (
        "WITH new AS (SELECT * FROM unnest($1::text[]) WITH ORDINALITY AS new (key, ord))"
        " INSERT INTO letter (key) SELECT key FROM new"
        " ON CONFLICT (key) DO UPDATE SET key = excluded.key"
        " RETURNING (SELECT ord FROM new WHERE new.key = letter.key)"
    )
    acknowledged: set[str] = set()
    async with EmbeddedPostgres(folder, settings) as server:
        watch = asyncio.create_task(server.watch())
        await ask(server.url, "CREATE TABLE letter (key text PRIMARY KEY)")
        async with await Database.open(server.url) as database:
            stop = asyncio.Event()

            async def produce(name: int) -> None:
                for number in count():
                    if stop.is_set():
                        return
                    assert await database.commit(write, (f"{name}/{number}",)) is not None
                    acknowledged.add(f"{name}/{number}")

            producers = [asyncio.create_task(produce(name)) for name in range(16)]
            for _ in range(3):
                await _until_more(acknowledged, 500)
                await _kill_and_wait_for_the_next(server)
            await _until_more(acknowledged, 500)
            stop.set()
            await asyncio.gather(*producers)
            there = {row["key"] for row in await database.fetch("SELECT key FROM letter")}
        watch.cancel()
    assert there == acknowledged


async def _until_more(acknowledged: set[str], more: int) -> None:
    wanted = len(acknowledged) + more
    async with asyncio.timeout(30):
        while len(acknowledged) < wanted:
            await asyncio.sleep(0.01)
