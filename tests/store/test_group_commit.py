from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest

from opencraw.errors import Unavailable
from opencraw.store import connection, group_commit
from opencraw.store.database import Database, Record
from tests.faults.proxy import PostgresProxy

LETTERS = """
CREATE TABLE letter (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text NOT NULL UNIQUE,
    size integer NOT NULL CHECK (size >= 0)
);
CREATE TABLE stamp (key text PRIMARY KEY);
"""

WRITE_LETTER = """
WITH new AS (
    SELECT * FROM unnest($1::text[], $2::integer[]) WITH ORDINALITY AS new (key, size, ord)
), written AS (
    INSERT INTO letter (key, size) SELECT key, size FROM new ORDER BY ord
    ON CONFLICT (key) DO UPDATE SET key = excluded.key
    RETURNING id, key
)
SELECT new.ord, written.id, written.key FROM new JOIN written USING (key)
"""

WRITE_STAMP = """
WITH new AS (SELECT * FROM unnest($1::text[]) WITH ORDINALITY AS new (key, ord))
INSERT INTO stamp (key) SELECT key FROM new ON CONFLICT (key) DO UPDATE SET key = excluded.key
RETURNING (SELECT ord FROM new WHERE new.key = stamp.key)
"""

GROW_LETTER = """
UPDATE letter SET size = new.size
FROM unnest($1::text[], $2::integer[]) WITH ORDINALITY AS new (key, size, ord)
WHERE letter.key = new.key
RETURNING new.ord
"""


@pytest.fixture
async def letters(empty_database_url: str) -> AsyncIterator[Database]:
    await _execute(empty_database_url, LETTERS)
    async with await Database.open(empty_database_url) as database:
        yield database


async def _execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(sql)
    await connection.close()


@contextlib.asynccontextmanager
async def _locked(url: str, table: str = "letter") -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Hold a table so that every write to it waits; yields the function that lets go."""
    holder = await asyncpg.connect(url)
    transaction = holder.transaction()
    await transaction.start()
    await holder.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
    yield transaction.rollback
    await holder.close()


async def _until_a_write_waits(url: str) -> int:
    """The backend that waits for a lock."""
    watcher = await asyncpg.connect(url)
    try:
        while True:
            pid = await watcher.fetchval(
                "SELECT pid FROM pg_stat_activity"
                " WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            if pid is not None:
                return int(pid)
            await asyncio.sleep(0.005)
    finally:
        await watcher.close()


async def _keys(database: Database) -> list[str]:
    return [row["key"] for row in await database.fetch("SELECT key FROM letter ORDER BY id")]


async def test_everyone_gets_the_answer_to_their_own_row(letters: Database) -> None:
    answers = await asyncio.gather(
        *(letters.commit(WRITE_LETTER, (f"letter {n}", n)) for n in range(100))
    )
    assert [answer and answer["key"] for answer in answers] == [f"letter {n}" for n in range(100)]


async def test_rows_that_wait_together_share_a_transaction_in_order_of_arrival(
    letters: Database,
) -> None:
    await asyncio.gather(*(letters.commit(WRITE_LETTER, (f"letter {n}", n)) for n in range(100)))
    [[transactions]] = await letters.fetch("SELECT count(DISTINCT xmin::text) FROM letter")
    assert transactions == 1
    assert await _keys(letters) == [f"letter {n}" for n in range(100)]


async def test_different_statements_share_a_transaction(letters: Database) -> None:
    await asyncio.gather(
        letters.commit(WRITE_LETTER, ("first", 1)),
        letters.commit(WRITE_STAMP, ("stamp",)),
        letters.commit(WRITE_LETTER, ("second", 2)),
    )
    transactions = await letters.fetch(
        "SELECT xmin::text FROM letter UNION SELECT xmin::text FROM stamp"
    )
    assert len(transactions) == 1


async def test_a_row_that_the_statement_does_not_answer_is_answered_with_none(
    letters: Database,
) -> None:
    await letters.commit(WRITE_LETTER, ("known", 1))
    known, unknown = await asyncio.gather(
        letters.commit(GROW_LETTER, ("known", 2)), letters.commit(GROW_LETTER, ("unknown", 2))
    )
    assert known is not None
    assert unknown is None


@pytest.mark.parametrize(
    "poison",
    [
        pytest.param(("nul\x00", 1), id="refused by the server"),
        pytest.param(("negative", -1), id="against a constraint"),
        pytest.param(("no number", "one"), id="of the wrong type"),
        pytest.param(("\ud800", 1), id="not text"),
        pytest.param(("huge", 2**70), id="out of range"),
        pytest.param(("too", 1, "long"), id="with a column too many"),
    ],
)
async def test_only_the_row_to_blame_gets_the_error(
    letters: Database, poison: tuple[object, ...]
) -> None:
    rows = [(f"letter {n}", n) for n in range(20)]
    async with asyncio.timeout(10):
        *answers, stamp = await asyncio.gather(
            *(letters.commit(WRITE_LETTER, row) for row in [*rows[:7], poison, *rows[7:]]),
            letters.commit(WRITE_STAMP, ("stamp",)),
            return_exceptions=True,
        )
    refusal = answers.pop(7)
    assert isinstance(refusal, Exception)
    assert not isinstance(refusal, Unavailable)
    assert [answer["key"] for answer in answers if isinstance(answer, Record)] == [
        key for key, _ in rows
    ]
    assert isinstance(stamp, Record)
    assert stamp["ord"] == 1
    assert len(await _keys(letters)) == 20


async def test_two_rows_that_cannot_share_a_statement_are_written_one_after_the_other(
    letters: Database,
) -> None:
    same, again = await asyncio.gather(
        letters.commit(WRITE_LETTER, ("same", 1)), letters.commit(WRITE_LETTER, ("same", 1))
    )
    assert same is not None
    assert again is not None
    assert same["id"] == again["id"]


async def test_a_write_whose_connection_is_cut_off_is_repeated(
    letters: Database, empty_database_url: str
) -> None:
    async with _locked(empty_database_url) as let_go:
        write = asyncio.create_task(letters.commit(WRITE_LETTER, ("letter", 1)))
        pid = await _until_a_write_waits(empty_database_url)
        await letters.fetch("SELECT pg_terminate_backend($1)", pid)
        await let_go()
        answer = await write
        assert answer is not None
        assert answer["key"] == "letter"
    assert await _keys(letters) == ["letter"]


async def test_writes_whose_connection_is_cut_off_within_their_transaction_are_repeated(
    letters: Database, empty_database_url: str
) -> None:
    async with _locked(empty_database_url) as let_go:
        writes = asyncio.gather(
            letters.commit(WRITE_STAMP, ("stamp",)), letters.commit(WRITE_LETTER, ("letter", 1))
        )
        pid = await _until_a_write_waits(empty_database_url)
        await letters.fetch("SELECT pg_terminate_backend($1)", pid)
        await let_go()
        assert all(await writes)
    assert await _keys(letters) == ["letter"]


async def test_a_write_on_a_connection_that_was_just_ended_is_repeated(letters: Database) -> None:
    for n in range(20):
        await letters.commit(WRITE_LETTER, (f"before {n}", 1))
        await letters.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        both = letters.commit(WRITE_LETTER, (f"letter {n}", 1)), letters.commit(WRITE_STAMP, ("s",))
        assert all(await asyncio.gather(*both))
    assert len(await _keys(letters)) == 40


async def test_a_commit_with_unknown_outcome_is_repeated_and_not_doubled(
    empty_database_url: str, proxy: PostgresProxy
) -> None:
    await _execute(empty_database_url, LETTERS)
    async with await Database.open(proxy.url_of(empty_database_url)) as database:
        await database.commit(WRITE_LETTER, ("before", 1))
        # The server writes the row; its answer is lost together with the connection.
        proxy.cut_at_next_answer = True
        answer = await database.commit(WRITE_LETTER, ("letter", 1))
        assert proxy.cuts == 1
        assert answer is not None
        assert answer["key"] == "letter"
        assert await _keys(database) == ["before", "letter"]


async def test_a_database_that_goes_silent_is_noticed(
    empty_database_url: str, proxy: PostgresProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.ARGUMENTS, "command_timeout", 0.2)
    await _execute(empty_database_url, LETTERS)
    async with await Database.open(proxy.url_of(empty_database_url)) as database:
        await database.commit(WRITE_LETTER, ("before", 1))
        proxy.hold()
        with pytest.raises(Unavailable, match="did not answer in time"):
            await database.commit(WRITE_LETTER, ("letter", 1), patience=1.0)
        proxy.release()
        assert await database.commit(WRITE_LETTER, ("letter", 1)) is not None
        assert await _keys(database) == ["before", "letter"]


async def test_who_has_no_patience_is_told_and_the_row_is_written_all_the_same(
    letters: Database, empty_database_url: str
) -> None:
    async with _locked(empty_database_url) as let_go:
        with pytest.raises(Unavailable, match="not yet written"):
            await letters.commit(WRITE_LETTER, ("late", 1), patience=0.05)
        await let_go()
    await letters.commit(WRITE_LETTER, ("next", 1))
    assert await _keys(letters) == ["late", "next"]


async def test_the_write_of_a_cancelled_caller_still_lands(
    letters: Database, empty_database_url: str
) -> None:
    async with _locked(empty_database_url) as let_go:
        in_flight = asyncio.create_task(letters.commit(WRITE_LETTER, ("in flight", 1)))
        await _until_a_write_waits(empty_database_url)
        queued = asyncio.create_task(letters.commit(WRITE_LETTER, ("queued", 1)))
        await asyncio.sleep(0)
        in_flight.cancel()
        queued.cancel()
        await asyncio.wait({in_flight, queued})
        await let_go()
    await letters.commit(WRITE_LETTER, ("next", 1))
    assert await _keys(letters) == ["in flight", "queued", "next"]


async def test_a_lock_that_is_held_too_long_delays_a_write_and_is_named(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.ARGUMENTS["server_settings"], "lock_timeout", "100ms")
    await _execute(empty_database_url, LETTERS)
    async with (
        await Database.open(empty_database_url) as letters,
        _locked(empty_database_url) as let_go,
    ):
        write = asyncio.create_task(letters.commit(WRITE_LETTER, ("letter", 1)))
        async with asyncio.timeout(10):
            while True:
                try:
                    await letters.ping()
                except Unavailable as error:
                    assert "lock timeout" in str(error)  # noqa: PT017 - it is awaited in a loop
                    break
                await asyncio.sleep(0.05)
        await let_go()
        assert await write is not None
        await letters.ping()


async def test_when_too_many_wait_the_next_is_told_at_once(
    letters: Database, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "MOST_ROWS_WAITING", 10)
    async with _locked(empty_database_url) as let_go:
        first = asyncio.create_task(letters.commit(WRITE_LETTER, ("first", 1)))
        await _until_a_write_waits(empty_database_url)
        waiting = [
            asyncio.create_task(letters.commit(WRITE_LETTER, (f"letter {n}", 1))) for n in range(10)
        ]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="10 writes wait already"):
            await letters.commit(WRITE_LETTER, ("one too many", 1))
        await let_go()
        await asyncio.gather(first, *waiting)
    assert len(await _keys(letters)) == 11


async def test_more_rows_than_one_flush_takes_are_all_written(
    letters: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "MOST_ROWS_IN_A_FLUSH", 10)
    await asyncio.gather(*(letters.commit(WRITE_LETTER, (f"letter {n}", n)) for n in range(35)))
    [[transactions]] = await letters.fetch("SELECT count(DISTINCT xmin::text) FROM letter")
    assert transactions == 4
    assert await _keys(letters) == [f"letter {n}" for n in range(35)]


async def test_a_read_only_database_takes_writes_once_it_may(
    letters: Database, empty_database_url: str
) -> None:
    name = (await letters.fetch("SELECT current_database()"))[0][0]
    cut_off = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await _execute(
        empty_database_url, f"ALTER DATABASE {name} SET default_transaction_read_only = on"
    )
    await _execute(empty_database_url, cut_off)
    with pytest.raises(Unavailable):
        await letters.commit(WRITE_LETTER, ("letter", 1), patience=0.2)
    with pytest.raises(Unavailable):
        await letters.ping()
    await _execute(
        empty_database_url,
        f"BEGIN READ WRITE; ALTER DATABASE {name} RESET default_transaction_read_only; COMMIT",
    )
    assert await letters.commit(WRITE_LETTER, ("letter", 1)) is not None
    await letters.ping()


async def test_closing_writes_what_is_queued_and_takes_nothing_more(
    empty_database_url: str,
) -> None:
    await _execute(empty_database_url, LETTERS)
    database = await Database.open(empty_database_url)
    writes = [
        asyncio.create_task(database.commit(WRITE_LETTER, (f"letter {n}", n))) for n in range(5)
    ]
    await asyncio.sleep(0)
    await database.close()
    assert all(await asyncio.gather(*writes))
    with pytest.raises(Unavailable, match="stopping"):
        await database.commit(WRITE_LETTER, ("too late", 1))


async def test_closing_does_not_wait_for_ever(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opencraw.store.database.CLOSE_SECONDS", 0.1)
    await _execute(empty_database_url, LETTERS)
    database = await Database.open(empty_database_url)
    async with _locked(empty_database_url):
        write = asyncio.create_task(database.commit(WRITE_LETTER, ("letter", 1)))
        await _until_a_write_waits(empty_database_url)
        await database.close()
        with pytest.raises(Unavailable, match="stopped before"):
            await write
