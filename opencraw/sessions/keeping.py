"""What is kept of conversations, and for how long.

Nothing here is on the way of a message. Each write is small, changes nothing when it is repeated,
and asks again whether it still may: any number of nodes may do the same work at once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from opencraw.contract import Address
from opencraw.sessions.asker import Asker
from opencraw.sessions.transcript import Entry, entry_of
from opencraw.store.database import Database, Record
from opencraw.store.queries import load

SQL = load("opencraw.sessions", "keeping.sql")

#: So many conversations, lines or rows are seen to at a time.
_MOST_SESSIONS = 200
_MOST_LINES = 200
_MOST_ROWS = 500
#: A removal is tried so often while others write there.
_TRIES = 5
#: Comes before every conversation.
_NONE = UUID(int=0)
#: A platform may repeat an event for so long; its key is kept.
KEYS_ARE_KEPT = timedelta(days=90)
#: For so long somebody may ask what a day cost, and who worked on a turn.
ROWS_ARE_KEPT = timedelta(days=40)


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """A part of a conversation that is not in memory yet: the lines after `flushed_seq`, up to
    `through_seq`."""

    id: UUID
    tenant: str
    address: Address
    chat_type: str | None
    flushed_seq: int
    through_seq: int


@dataclass(frozen=True, slots=True)
class LeftLine:
    """One of these lines, and for whom its turn worked."""

    entry: Entry
    asker: Asker


class Keeping:
    """The verbs of what is over."""

    def __init__(self, database: Database) -> None:
        self._database = database
        #: Behind this one the next look for what was left behind begins.
        self._looked_through = _NONE

    async def left_behind(self) -> Sequence[LeftBehind]:
        """Conversations of which something is to go into memory: some of them, and the next time
        the next ones, lest those that fail every time keep all others waiting."""
        records = await self._database.fetch(SQL.left_behind, _MOST_SESSIONS, self._looked_through)
        more = len(records) == _MOST_SESSIONS
        self._looked_through = records[-1]["id"] if more else _NONE
        return [
            LeftBehind(
                record["id"],
                record["tenant"],
                address_of(record),
                record["chat_type"],
                record["flushed_seq"],
                record["reset_seq"],
            )
            for record in records
        ]

    async def left_lines(
        self, left: LeftBehind, after: int, *, limit: int, longest: int
    ) -> Sequence[LeftLine]:
        """The oldest `limit` of its lines after this one. Of a text longer than `longest` only its
        beginning and its end are read."""
        records = await self._database.fetch(
            SQL.left_lines, left.id, after, left.through_seq, limit, longest
        )
        return [LeftLine(entry_of(record), _asker(left, record)) for record in records]

    async def pass_over(self, session: UUID, through: int) -> None:
        """Note that nothing up to this line goes into memory."""
        await self._database.commit(SQL.pass_over, (session, through))

    async def archive(self, silent_since: datetime) -> int:
        """Archive conversations in which nothing happened since; returns how many there were."""
        found = await self._database.fetch(SQL.silent, silent_since, _MOST_SESSIONS)
        for record in found:
            await self._database.commit(SQL.archive, (record["id"], silent_since))
        return len(found)

    async def let_go(self, archived_before: datetime) -> None:
        """Remove what was said in conversations that have been archived since, once memory has what
        it keeps of them."""
        for record in await self._database.fetch(SQL.outlived, archived_before, _MOST_SESSIONS):
            await self._database.commit(SQL.let_go, (record["id"], archived_before))

    async def remove(self, session: UUID, now: datetime) -> bool:
        """Remove a conversation for good; False when a turn runs in it, and nothing happened."""
        for _ in range(_TRIES):
            found = await self._database.fetch(SQL.removable, session)
            if not found:
                return False
            if await self._database.commit(SQL.remove, (session, found[0]["last_seq"])) is not None:
                await self._empty(session, now)
                return True
        return False  # something is said there all the time

    async def finish_removals(self) -> None:
        """Go on with removals that somebody began."""
        for record in await self._database.fetch(SQL.half_removed, _MOST_SESSIONS):
            await self._empty(record["id"], None)

    async def _empty(self, session: UUID, before: datetime | None) -> None:
        async for ids in self._unread(session, before):
            await self._database.commit(SQL.empty_messages, (ids,))
        before_that = None
        while True:
            [oldest] = await self._database.fetch(SQL.oldest_lines, session, _MOST_LINES)
            if not (oldest["turns"] or oldest["lines"]) or oldest == before_that:
                return  # nothing is left, or nothing that can be removed yet
            row = (session, _joined(oldest["turns"]), _joined(oldest["lines"]))
            await self._database.commit(SQL.remove_lines, row)
            before_that = oldest

    async def _unread(self, session: UUID, before: datetime | None) -> AsyncIterator[str]:
        while records := await self._database.fetch(
            SQL.unread_messages, session, before, _MOST_ROWS
        ):
            yield _joined(record["id"] for record in records)

    async def drop_old_rows(self, now: datetime) -> None:
        """Delete some of the rows that nobody asks for any more."""
        old = now - ROWS_ARE_KEPT
        [found] = await self._database.fetch(
            SQL.old_rows, now - KEYS_ARE_KEPT, old.date(), old, _MOST_ROWS
        )
        row = tuple(_joined(found[name]) for name in ("keys", "calls", "nodes"))
        if any(row):
            await self._database.commit(SQL.drop_rows, row)


def _joined(ids: Iterable[object]) -> str:
    return ",".join(map(str, ids))


def address_of(record: Record) -> Address:
    """Where this row says that it is."""
    return Address(record["channel"], record["account"], record["chat"], record["thread"])


def _asker(left: LeftBehind, record: Record) -> Asker:
    return Asker(
        left.tenant,
        left.id,
        record["turn_id"],
        address_of(record),
        record["asked_by"],
        record["turn_rights"],
        record["origin"],
        left.chat_type,
    )
