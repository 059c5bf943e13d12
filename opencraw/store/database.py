"""The database as the rest of OpenCraw sees it: reads, durable writes, and whether it answers."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Self

import asyncpg

from opencraw.errors import Unavailable
from opencraw.store.backoff import pauses
from opencraw.store.connection import (
    ARGUMENTS,
    COMMAND_SECONDS,
    FAILURES,
    dial,
    first_connection,
    in_words,
    is_transient,
)
from opencraw.store.group_commit import GroupCommit, Row

if TYPE_CHECKING:
    from opencraw.store.connection import Connection

    Pool = asyncpg.Pool[asyncpg.Record]

Record = asyncpg.Record

PING_SECONDS = 2.0

#: How long `close` waits for writes that are still queued. A daemon that is stopping has a limit.
CLOSE_SECONDS = 5.0

_PING = "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean"


class Database:
    """A pool for reads and one connection for writes, which are grouped (see `group_commit`)."""

    def __init__(self, url: str, pool: Pool, first: Connection) -> None:
        self._pool = pool
        self._writes = GroupCommit(partial(dial, url), first)
        self._flusher = asyncio.create_task(self._writes.run(), name="group commit")

    @classmethod
    async def open(cls, url: str, *, readers: int = 4) -> Self:
        """Connect, or raise `CannotStart`: an absent or unfit database is found here, not later."""
        first = await first_connection(url)
        pool = await asyncpg.create_pool(
            url, min_size=0, max_size=readers, reset=_keep_as_it_is, **ARGUMENTS
        )
        return cls(url, pool, first)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def fetch(
        self, sql: str, *arguments: object, patience: float | None = None
    ) -> list[Record]:
        """The rows of a read. While the database is away it is tried again, so it must be a read.

        Raises `Unavailable` when that takes longer than `patience` seconds (None: wait for ever),
        or when the server gave up on the query because it takes too long.
        """
        deadline = None if patience is None else time.monotonic() + patience
        for pause in pauses():
            left = None if deadline is None else deadline - time.monotonic()
            try:
                async with asyncio.timeout(left):
                    return await self._fetch_once(sql, arguments)
            except asyncpg.QueryCanceledError as error:
                raise Unavailable("the database took too long to answer") from error
            except FAILURES as error:
                if not is_transient(error):
                    raise
                if deadline is not None and time.monotonic() + pause > deadline:
                    raise Unavailable(f"the database is away: {in_words(error)}") from error
            await asyncio.sleep(pause)
        raise AssertionError("pauses never end")

    async def commit(self, sql: str, row: Row, *, patience: float | None = None) -> Record | None:
        """Write one row durably and return the statement's answer to it; see `group_commit`.

        `sql` must give the same answer when it runs twice with the same row.
        """
        return await self._writes.commit(sql, row, patience=patience)

    async def ping(self) -> None:
        """Raise `Unavailable` unless the database answers soon and takes writes."""
        try:
            async with asyncio.timeout(PING_SECONDS):
                [[read_only]] = await self._fetch_once(_PING, ())
        except FAILURES as error:
            raise Unavailable(f"the database is away: {in_words(error)}") from error
        if read_only:
            raise Unavailable("the database is read-only")
        if self._writes.trouble is not None:
            raise Unavailable(self._writes.trouble)

    async def close(self) -> None:
        """Write what is queued, within a limit, and let go of all connections."""
        self._writes.finish()
        await asyncio.wait({self._flusher}, timeout=CLOSE_SECONDS)
        self._flusher.cancel()
        await asyncio.wait({self._flusher})
        try:
            async with asyncio.timeout(1.0):
                await self._pool.close()
        except FAILURES:
            self._pool.terminate()

    async def _fetch_once(self, sql: str, arguments: tuple[object, ...]) -> list[Record]:
        async with self._pool.acquire(timeout=COMMAND_SECONDS) as connection:
            try:
                return await connection.fetch(sql, *arguments)
            except asyncpg.InterfaceError as error:
                if connection.is_closed():
                    raise ConnectionResetError(str(error)) from error
                raise
            except (TimeoutError, asyncio.CancelledError, asyncpg.InternalClientError):
                # Handing it back in good order would wait for a server that may be silent.
                connection.terminate()
                raise


async def _keep_as_it_is(_: Connection) -> None:
    """Reads leave nothing behind in a session: spare the round trip that would reset it."""
