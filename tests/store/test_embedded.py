"""Every scenario runs as the user of the tests, and as an ordinary user."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from opencraw.errors import CannotStart
from opencraw.store import server_log
from opencraw.store.binaries import copy_binaries, find_binaries
from opencraw.store.database import Database
from opencraw.store.embedded import EmbeddedPostgres
from opencraw.store.migrations import migrate
from opencraw.store.placement import Account, reachable
from opencraw.store.postmaster import Postmaster, remove_stale_lock_files
from opencraw.store.queries import all_queries
from opencraw.store.settings import DatabaseSettings
from tests.fixtures.ordinary_user import become_ordinary, in_a_process
from tests.store.proxy import socket_folder

Scenario = Callable[[Path, DatabaseSettings], Coroutine[Any, Any, None]]

SCENARIOS: list[Scenario] = []


def scenario(function: Scenario) -> Scenario:
    SCENARIOS.append(function)
    return function


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data directory with a short path, which other users may pass through."""
    path = Path(tempfile.mkdtemp(prefix="oc-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def for_everybody(short_folder: Path) -> DatabaseSettings:
    """Settings with programs that an ordinary user may run, wherever the tests are installed."""
    binaries = find_binaries()
    if os.geteuid() != 0 or reachable(binaries.folder.resolve(), Account(65534, 65534)):
        return DatabaseSettings()
    return DatabaseSettings(bin_dir=str(copy_binaries(binaries, short_folder).folder))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.usefixtures("migrated_template")  # what that imports, nobody else may be able to read
@pytest.mark.parametrize("ordinary", [False, True], ids=["as this user", "as an ordinary user"])
@pytest.mark.parametrize("life", SCENARIOS, ids=lambda life: life.__name__.replace("_", " "))
def test_embedded(
    life: Scenario, folder: Path, for_everybody: DatabaseSettings, *, ordinary: bool
) -> None:
    def live() -> None:
        if ordinary:
            become_ordinary(folder)
        asyncio.run(life(folder, for_everybody))

    in_a_process(live)


async def _ask(url: str, question: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


def _proc(pid: int, name: str) -> Path:
    return Path(f"/proc/{pid}/{name}")


def _runs(pid: int) -> bool:
    """False also for a process that has ended and that nobody has waited for."""
    stat = _proc(pid, "stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


async def _end(server: EmbeddedPostgres, folder: Path) -> None:
    """Stop a server that was left running."""
    await Postmaster(server.pid, folder / "postgres/cluster/data", None).stop()


@scenario
async def the_first_start_and_a_restart_keep_what_was_written(
    folder: Path, settings: DatabaseSettings
) -> None:
    async with EmbeddedPostgres(folder, settings) as server:
        await _ask(server.url, "CREATE TABLE letter AS SELECT 42 AS n")
        first = server.pid
    assert not _runs(first)
    async with EmbeddedPostgres(folder, settings) as server:
        assert await _ask(server.url, "SELECT n FROM letter") == 42
        assert server.pid != first


@scenario
async def the_server_has_no_special_rights(folder: Path, settings: DatabaseSettings) -> None:
    async with EmbeddedPostgres(folder, settings) as server:
        status = _proc(server.pid, "status").read_text()
        uids = next(line.split()[1:] for line in status.splitlines() if line.startswith("Uid:"))
        assert "0" not in uids
        assert len(set(uids)) == 1


@scenario
async def nobody_else_can_read_anything(folder: Path, settings: DatabaseSettings) -> None:
    before = [parent.stat().st_mode for parent in [folder, *folder.parents]]
    base = folder / "postgres"
    async with EmbeddedPostgres(folder, settings) as server:
        await _ask(server.url, "CREATE TABLE letter AS SELECT 42 AS n")
        open_to_others = {
            str(path): stat.filemode(path.lstat().st_mode)
            for path in base.rglob("*")
            if path.lstat().st_mode & 0o077
        }
        assert open_to_others == {}
        # With root above and nobody below, nobody must be let through; nothing can be listed.
        assert stat.S_IMODE(base.stat().st_mode) == (0o711 if os.geteuid() == 0 else 0o700)
    assert [parent.stat().st_mode for parent in [folder, *folder.parents]] == before


@scenario
async def the_password_is_needed(folder: Path, settings: DatabaseSettings) -> None:
    async with EmbeddedPostgres(folder, settings) as server:
        for password in ("", "wrong"):
            with pytest.raises(asyncpg.PostgresError, match="password"):
                await asyncpg.connect(server.url, password=password)


@scenario
async def the_server_sees_nothing_of_our_environment(
    folder: Path, settings: DatabaseSettings
) -> None:
    os.environ["SOME_API_KEY"] = "secret"
    async with EmbeddedPostgres(folder, settings) as server:
        assert "SOME_API_KEY" not in _proc(server.pid, "environ").read_text()


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
        assert await _ask(server.url, "SELECT n FROM letter") == 42
    assert not _runs(left)


def _start_and_die(folder: Path, settings: DatabaseSettings) -> None:
    async def start_and_die() -> None:
        async with EmbeddedPostgres(folder, settings) as server:
            await _ask(server.url, "CREATE TABLE letter AS SELECT 42 AS n")
            os.kill(os.getpid(), signal.SIGKILL)

    # The loop of the parent is not ours.
    asyncio.events._set_running_loop(None)
    asyncio.run(start_and_die())


@scenario
async def what_our_terminal_sends_does_not_reach_the_server(
    folder: Path, settings: DatabaseSettings
) -> None:
    async with EmbeddedPostgres(folder, settings) as server:
        assert os.getsid(server.pid) == server.pid


@scenario
async def a_server_may_be_left_running(folder: Path, settings: DatabaseSettings) -> None:
    async with EmbeddedPostgres(folder, settings, stop=False) as first:
        pass
    async with EmbeddedPostgres(folder, settings) as second:
        assert second.pid == first.pid


@scenario
async def two_that_start_at_once_share_a_server(folder: Path, settings: DatabaseSettings) -> None:
    first = EmbeddedPostgres(folder, settings, stop=False)
    second = EmbeddedPostgres(folder, settings, stop=False)
    await asyncio.gather(first.__aenter__(), second.__aenter__())
    assert first.pid == second.pid
    assert await _ask(first.url, "SELECT 1") == await _ask(second.url, "SELECT 1")
    await first.__aexit__(None, None, None)
    await second.__aexit__(None, None, None)
    await _end(first, folder)


@scenario
async def a_pid_file_that_names_a_living_stranger_is_not_believed(
    folder: Path, settings: DatabaseSettings
) -> None:
    async with EmbeddedPostgres(folder, settings) as server:
        await _ask(server.url, "CREATE TABLE letter AS SELECT 42 AS n")
        base = folder / "postgres"
        locks = [base / "cluster/data/postmaster.pid", base / "run/.s.PGSQL.5432.lock"]
        left = {lock: lock.read_text().splitlines() for lock in locks}
    stranger = _stranger()
    for lock, lines in left.items():
        lock.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        shutil.chown(lock, (base / "cluster").stat().st_uid)
    async with EmbeddedPostgres(folder, settings) as server:
        assert server.pid != stranger.pid
        assert await _ask(server.url, "SELECT n FROM letter") == 42
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
        await _ask(server.url, "CREATE TABLE letter AS SELECT 42 AS n")
        for _ in range(2):
            await _kill_and_wait_for_the_next(server)
            assert await _ask(server.url, "SELECT n FROM letter") == 42
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
        assert await _ask(second.url, "SELECT 1") == 1
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
        await _ask(server.url, "CREATE TABLE letter (key text PRIMARY KEY)")
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


@scenario
async def a_path_too_long_for_a_socket_gets_a_private_place_elsewhere(
    folder: Path, settings: DatabaseSettings
) -> None:
    data_dir = folder / ("long" * 30)
    data_dir.mkdir(0o755)
    async with EmbeddedPostgres(data_dir, settings) as server:
        place = socket_folder(server.url)
        assert not place.is_relative_to(folder)
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        assert await _ask(server.url, "SELECT 1") == 1
    async with EmbeddedPostgres(data_dir, settings) as server:
        assert socket_folder(server.url) == place
    shutil.rmtree(place)


@scenario
async def a_cluster_of_another_major_version_is_refused(
    folder: Path, settings: DatabaseSettings
) -> None:
    async with EmbeddedPostgres(folder, settings):
        pass
    (folder / "postgres/cluster/data/PG_VERSION").write_text("14\n")
    with pytest.raises(CannotStart, match=r"made by Postgres 14, .* is 18 .*database\.bin_dir"):
        await EmbeddedPostgres(folder, settings).__aenter__()


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
        assert await _ask(server.url, "SELECT 1") == 1


def _is_initdb_at_work(folder: Path) -> bool:
    return any(folder.glob("postgres/new-*/data/base"))


@scenario
async def a_server_that_cannot_start_is_quoted(folder: Path, settings: DatabaseSettings) -> None:
    async with EmbeddedPostgres(folder, settings):
        pass
    (folder / "postgres/cluster/data/global/pg_control").unlink()
    with pytest.raises(CannotStart, match=r"(?s)ended while it was starting.*pg_control"):
        await EmbeddedPostgres(folder, settings).__aenter__()


@scenario
async def a_data_directory_that_is_none_is_refused(
    folder: Path, settings: DatabaseSettings
) -> None:
    (folder / "file").touch()
    with pytest.raises(CannotStart, match=r"cannot write to .*file/postgres"):
        await EmbeddedPostgres(folder / "file", settings).__aenter__()


@scenario
async def the_log_does_not_grow_for_ever(folder: Path, settings: DatabaseSettings) -> None:
    async with EmbeddedPostgres(folder, settings):
        pass
    server_log.LONGEST_LOG = 10
    async with EmbeddedPostgres(folder, settings):
        pass
    assert (folder / "postgres/postgres.log.1").stat().st_size > 10


@scenario
async def a_restart_takes_less_than_half_a_second(folder: Path, settings: DatabaseSettings) -> None:
    async with EmbeddedPostgres(folder, settings):
        pass
    began = time.monotonic()
    async with EmbeddedPostgres(folder, settings):
        assert time.monotonic() - began < 0.5


@scenario
async def postgres_15_of_the_system_runs_every_migration_and_query(
    folder: Path, settings: DatabaseSettings
) -> None:
    settings = settings.model_copy(update={"bin_dir": _bin_dir_of_the_system()})
    async with EmbeddedPostgres(folder, settings) as server:
        await migrate(server.url)
        connection = await asyncpg.connect(server.url)
        for query in all_queries():
            await connection.prepare(query.sql)
        await connection.close()


def _bin_dir_of_the_system() -> str:
    pg_config = shutil.which("pg_config")
    assert pg_config, "this test needs a Postgres of the system: apt-get install postgresql"
    answer = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=True)
    return answer.stdout.strip()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_data_directory_that_only_root_can_enter_stays_closed(
    folder: Path, for_everybody: DatabaseSettings
) -> None:
    """The cluster of a root daemon goes elsewhere; an ordinary user's stays where it is."""
    data_dir = folder / "private"
    data_dir.mkdir(0o700)
    system_dir = folder / "system"

    async def live() -> None:
        async with EmbeddedPostgres(data_dir, for_everybody, system_dir=system_dir) as server:
            data = Path(str(await _ask(server.url, "SHOW data_directory")))
        home = system_dir if os.geteuid() == 0 else data_dir
        assert data.is_relative_to(home)
        assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700

    in_a_process(lambda: asyncio.run(live()))


def test_programs_can_be_copied_to_where_everybody_may_run_them(folder: Path) -> None:
    copy = copy_binaries(find_binaries(), folder)
    assert copy == copy_binaries(find_binaries(), folder), "one copy is enough"
    assert copy.folder.is_relative_to(folder)
    in_a_process(partial(_run_as_an_ordinary_user, copy.postgres))
    # It needs libraries that lie beside the installation.
    in_a_process(partial(_run_as_an_ordinary_user, copy.folder / "initdb"))
    assert not list(folder.glob("new-*"))


def _run_as_an_ordinary_user(program: Path) -> None:
    become_ordinary()
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert "PostgreSQL" in answer.stdout
