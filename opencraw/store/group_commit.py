"""Many writers, one commit.

Writes queue while the last flush is on its way to the disk; then all of them go out together. Rows
for the same SQL text become one set-based statement, so that sixty-four callers pay for one round
trip and one fsync instead of sixty-four. There is no timer: a lone write leaves at once, and the
busier the daemon is, the larger the groups become. Nothing is given up for it, a caller goes on
only after its row is on disk.

What a statement must look like:

* one array parameter per column, opened with
  `unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS new (name, size, ord)`; a column of JSON
  travels as `text[]` and is cast in the SQL;
* it returns the column `ord` of every row that it answers, at most once, beside whatever else the
  caller wants to know. A row that does not come back is answered with None;
* **it gives the same answer when it runs twice with the same row.** When a connection breaks during
  COMMIT nobody knows whether the rows are written. The flusher then repeats them on the next
  connection, so a repeated insert must find the row of its first run and return it.

And one thing it should look like: find existing rows with a subquery in the SELECT list, which goes
through an index. For a join Postgres may choose to read the whole table, as it believes a table to
be small that it has not looked at since it was; a growing inbox then takes a seventh of the rows.

Different statements of one flush share a transaction, in the order in which each was first asked
for. Whoever needs his second write to follow his first awaits the first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import asyncpg

from opencraw.errors import Unavailable
from opencraw.store.backoff import pauses
from opencraw.store.connection import in_words, is_harmless, is_transient

if TYPE_CHECKING:
    from opencraw.store.connection import Connection

log = logging.getLogger(__name__)

Row = tuple[object, ...]

#: More rows than this wait for the next flush, which keeps the time of a single one short.
MOST_ROWS_IN_A_FLUSH = 1_000

#: With the database away, rows wait here; beyond this many the caller is told at once.
MOST_ROWS_WAITING = 50_000


class Write(NamedTuple):
    """One row on its way, and where its answer goes."""

    sql: str
    row: Row
    answer: asyncio.Future[asyncpg.Record | None]


class GroupCommit:
    """The queue of writes of this process. `run` is its only flusher.

    `trouble` says why nothing can be written at the moment, or is None.
    """

    def __init__(self, dial: Callable[[], Awaitable[Connection]], first: Connection) -> None:
        self.trouble: str | None = None
        self._writer = Writer(dial, first)
        self._waiting: list[Write] = []
        self._in_flight: list[Write] = []
        self._awake = asyncio.Event()
        self._closed = False

    async def commit(
        self, sql: str, row: Row, *, patience: float | None = None
    ) -> asyncpg.Record | None:
        """Returns once the row is durable, with the statement's answer to it.

        Raises `Unavailable` if it is not known to be durable after `patience` seconds. The row
        stays queued then, as it does when the caller is cancelled, and may still be written.
        Raises what Postgres said if the row itself is to blame; its neighbours are written all
        the same.
        """
        if self._closed:
            raise Unavailable("the daemon is stopping and takes no more writes")
        if len(self._waiting) >= MOST_ROWS_WAITING:
            raise Unavailable(f"{MOST_ROWS_WAITING} writes wait already: {self.trouble or 'busy'}")
        answer: asyncio.Future[asyncpg.Record | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(Write(sql, row, answer))
        self._awake.set()
        if patience is None:
            return await answer
        try:
            async with asyncio.timeout(patience):
                return await answer
        except TimeoutError as error:
            raise Unavailable(f"not yet written: {self.trouble or 'busy'}") from error

    async def run(self) -> None:
        """Flush for as long as the process lives; ends after `finish` when nothing waits."""
        try:
            while not (self._closed and not self._waiting):
                await self._awake.wait()
                self._in_flight = self._waiting[:MOST_ROWS_IN_A_FLUSH]
                del self._waiting[:MOST_ROWS_IN_A_FLUSH]
                if not self._waiting and not self._closed:
                    self._awake.clear()
                await self._flush(self._in_flight)
        finally:
            self._closed = True
            self._writer.hang_up()
            self._give_up()

    def finish(self) -> None:
        """Take no more writes; `run` returns when those that wait are written."""
        self._closed = True
        self._awake.set()

    async def _flush(self, writes: Sequence[Write]) -> None:
        """Write these rows, however long the database is away. Rows it refuses learn why."""
        if not writes:
            return
        refusal = await self._until_answered(writes)
        if refusal is None:
            return
        if len(writes) == 1:
            if not writes[0].answer.done():
                writes[0].answer.set_exception(refusal)
            return
        # Halving finds the row to blame in a few flushes; the others are written on the way.
        middle = len(writes) // 2
        await self._flush(writes[:middle])
        await self._flush(writes[middle:])

    async def _until_answered(self, writes: Sequence[Write]) -> Exception | None:
        """Try until the rows are durable (None) or the database refuses what they say (why)."""
        for pause in pauses():
            try:
                await self._writer.write(writes)
            except Exception as error:  # noqa: BLE001 - goes to the callers; the flusher must live
                if not is_transient(error):
                    return error
                self._note_trouble(error)
                await asyncio.sleep(pause)
            else:
                self._note_success()
                break
        return None

    def _note_trouble(self, error: Exception) -> None:
        if self.trouble is None:
            log.warning("the database takes no writes, trying again: %s", in_words(error))
        self.trouble = f"the database takes no writes: {in_words(error)}"

    def _note_success(self) -> None:
        if self.trouble is not None:
            log.info("the database takes writes again")
            self.trouble = None

    def _give_up(self) -> None:
        for write in [*self._in_flight, *self._waiting]:
            if not write.answer.done():
                write.answer.set_exception(
                    Unavailable("the daemon stopped before this was written")
                )
        self._waiting.clear()


class Writer:
    """The one connection on which rows are written, made anew whenever it is in doubt."""

    def __init__(self, dial: Callable[[], Awaitable[Connection]], first: Connection) -> None:
        self._dial = dial
        self._connection: Connection | None = first

    async def write(self, writes: Sequence[Write]) -> None:
        """One transaction for all of them. On an error none is written, or it is not known."""
        groups: dict[str, list[Write]] = {}
        for write in writes:
            groups.setdefault(write.sql, []).append(write)
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._dial()
        connection = self._connection
        try:
            if len(groups) == 1:
                # A single statement is a transaction of its own, in one round trip.
                answers = [await _run(connection, sql, group) for sql, group in groups.items()]
            else:
                async with connection.transaction():
                    answers = [await _run(connection, sql, group) for sql, group in groups.items()]
        except BaseException as error:
            if connection.is_closed() and isinstance(error, asyncpg.InterfaceError):
                raise ConnectionResetError(str(error)) from error
            if isinstance(error, asyncio.CancelledError) or (
                is_transient(error) and not is_harmless(error)
            ):
                self.hang_up()
            raise
        for group, records in zip(groups.values(), answers, strict=True):
            _answer(group, records)

    def hang_up(self) -> None:
        """Drop the connection without waiting for the server, which may be silent."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


async def _run(
    connection: Connection, sql: str, group: Sequence[Write]
) -> Sequence[asyncpg.Record]:
    columns = zip(*[write.row for write in group], strict=True)
    return await connection.fetch(sql, *columns)


def _answer(group: Sequence[Write], records: Sequence[asyncpg.Record]) -> None:
    by_ord = {record["ord"]: record for record in records}
    for ord_, write in enumerate(group, start=1):
        # A caller that was cancelled, or lost patience, no longer listens.
        if not write.answer.done():
            write.answer.set_result(by_ord.get(ord_))
