from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest

from opencraw.errors import CannotStart, Unavailable
from opencraw.store import connection
from opencraw.store.backoff import pauses
from opencraw.store.connection import first_connection, is_harmless, is_transient
from opencraw.store.database import Database
from tests.faults.proxy import PostgresProxy


async def test_a_read_gives_its_rows(database: Database) -> None:
    rows = await database.fetch("SELECT $1::int + n AS n FROM generate_series(1, 2) AS n", 10)
    assert [row["n"] for row in rows] == [11, 12]


async def test_more_reads_than_connections_wait_for_their_turn(database: Database) -> None:
    rows = await asyncio.gather(*(database.fetch("SELECT $1::int", n) for n in range(50)))
    assert [row[0][0] for row in rows] == list(range(50))


async def test_a_wrong_read_is_not_tried_again(database: Database) -> None:
    with pytest.raises(asyncpg.UndefinedTableError):
        await database.fetch("SELECT * FROM nowhere")


async def test_a_read_outlives_its_connection(database: Database) -> None:
    [[first]] = await database.fetch("SELECT pg_backend_pid()")
    killer = asyncio.create_task(_terminate_when_asleep(database, first))
    rows = await database.fetch("SELECT pg_sleep(0.2)")
    await killer
    assert len(rows) == 1
    [[second]] = await database.fetch("SELECT pg_backend_pid()")
    assert second != first


async def _terminate_when_asleep(database: Database, pid: int) -> None:
    async with asyncio.timeout(10):
        while not await database.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid = $1 AND wait_event = 'PgSleep'",
            pid,
        ):
            await asyncio.sleep(0.005)


async def test_a_read_with_limited_patience_is_unavailable_while_the_database_is_silent(
    empty_database_url: str, proxy: PostgresProxy
) -> None:
    async with await Database.open(proxy.url_of(empty_database_url)) as database:
        proxy.hold()
        with pytest.raises(Unavailable, match="database is away"):
            await database.fetch("SELECT 1", patience=0.3)
        proxy.release()
        assert await database.fetch("SELECT 1")


async def test_a_query_that_takes_too_long_is_unavailable_and_not_repeated(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.ARGUMENTS["server_settings"], "statement_timeout", "100ms")
    async with await Database.open(empty_database_url) as database:
        with pytest.raises(Unavailable, match="took too long"):
            await database.fetch("SELECT pg_sleep(5)")


async def test_a_silent_database_is_found_out_by_a_ping(
    empty_database_url: str, proxy: PostgresProxy
) -> None:
    async with await Database.open(proxy.url_of(empty_database_url)) as database:
        await database.ping()
        proxy.hold()
        async with asyncio.timeout(2.5):
            with pytest.raises(Unavailable, match="did not answer in time"):
                await database.ping()
        proxy.release()
        await database.ping()


async def test_limits_reach_the_server(database: Database) -> None:
    [settings] = await database.fetch(
        "SELECT current_setting('application_name'), current_setting('statement_timeout'),"
        " current_setting('lock_timeout'), current_setting('synchronous_commit'),"
        " current_setting('full_page_writes')"
    )
    assert tuple(settings) == ("opencraw", "8s", "4s", "on", "on")


async def test_what_a_vanished_machine_had_locked_is_free_before_others_give_up(
    database: Database, database_url: str
) -> None:
    vanished = await first_connection(database_url)
    try:
        await vanished.execute("CREATE TABLE lane (id int PRIMARY KEY, owner int)")
        await vanished.execute("INSERT INTO lane VALUES (1, 1)")
        await vanished.execute("BEGIN")
        await vanished.execute("UPDATE lane SET owner = 2")
        # Not a word more from there. The one who waits would give up with LockNotAvailable.
        [[owner]] = await database.fetch("UPDATE lane SET owner = owner + 10 RETURNING owner")
        assert owner == 11
    finally:
        vanished.terminate()


async def test_a_wrong_password_is_refused_at_once(database_url: str) -> None:
    user, _, place = database_url.rpartition("@")
    with pytest.raises(CannotStart, match="password authentication failed") as refusal:
        await Database.open(f"{user}x@{place}")
    assert user.rpartition(":")[2] not in str(refusal.value)


async def test_a_url_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(CannotStart, match=r"database\.url"):
        await Database.open("mysql://nowhere/")


async def test_a_server_that_does_not_come_up_is_waited_for_and_then_refused(
    tmp_path: Path,
) -> None:
    with pytest.raises(CannotStart, match="cannot be used"):
        await first_connection(f"postgresql://nobody@/none?host={tmp_path}", patience=0.1)


async def test_a_server_that_is_too_old_is_refused(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "OLDEST_SERVER", 99)
    with pytest.raises(CannotStart, match=r"is Postgres \d+; OpenCraw's queries need 99 or later"):
        await Database.open(database_url)


@pytest.mark.parametrize(
    ("error", "transient", "harmless"),
    [
        (ConnectionResetError(), True, False),
        (TimeoutError(), True, False),
        (asyncpg.ConnectionDoesNotExistError(), True, False),
        (asyncpg.AdminShutdownError(), True, False),
        (asyncpg.CrashShutdownError(), True, False),
        (asyncpg.CannotConnectNowError(), True, False),
        (asyncpg.TooManyConnectionsError(), True, True),
        (asyncpg.DiskFullError(), True, True),
        (asyncpg.ReadOnlySQLTransactionError(), True, False),
        (asyncpg.SerializationError(), True, True),
        (asyncpg.DeadlockDetectedError(), True, True),
        (asyncpg.LockNotAvailableError(), True, True),
        (asyncpg.QueryCanceledError(), True, True),
        (asyncpg.InvalidCachedStatementError(), True, False),
        (asyncpg.UniqueViolationError(), False, False),
        (asyncpg.CharacterNotInRepertoireError(), False, False),
        (asyncpg.UndefinedTableError(), False, False),
        (ValueError(), False, False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_failure_says_whether_to_try_again(
    error: Exception, *, transient: bool, harmless: bool
) -> None:
    assert is_transient(error) is transient
    assert is_harmless(error) is harmless


def test_pauses_double_up_to_a_limit() -> None:
    longest = [0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0]
    for pause, limit in zip(pauses(), longest, strict=False):
        assert limit / 2 <= pause <= limit
