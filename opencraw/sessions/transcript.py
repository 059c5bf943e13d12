"""What was said, read back: for a model as messages, for people as lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

import asyncpg
import msgspec

from opencraw.contract import Line, Waiting
from opencraw.model import Thinking, ToolCall
from opencraw.settings import Mode
from opencraw.store.database import Database
from opencraw.store.queries import load

SQL = load("opencraw.sessions", "sessions.sql")

_tool_calls = msgspec.json.Decoder(tuple[ToolCall, ...])
_thinking = msgspec.json.Decoder(tuple[Thinking, ...])


class Entry(msgspec.Struct, frozen=True):
    """One line of the transcript. Which fields mean something depends on `kind`."""

    seq: int
    kind: Literal["user", "assistant", "tool_started", "tool_result"]
    text: str
    turn_id: UUID
    #: `text` is only the beginning.
    cut: bool = False
    disposition: Literal["asked", "injected", "superseded"] | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    thinking: tuple[Thinking, ...] = ()
    call_id: str = ""
    tool_name: str = ""
    failed: bool = False
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """A conversation's settings and sums, at one moment."""

    id: UUID
    key: str
    created_at: datetime
    last_active_at: datetime
    mode: Mode | None
    debounce_ms: int | None
    model: str | None
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    last_seq: int
    waiting: int
    running: bool


class Sessions:
    """Reads of conversations."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def transcript(
        self, session: UUID, *, longest: int, limit: int, after: int = 0
    ) -> Sequence[Entry]:
        """The newest `limit` entries after the last reset, oldest first, each cut to `longest`."""
        records = await self._database.fetch(SQL.transcript, session, after, limit, longest)
        return [_entry(record) for record in reversed(records)]

    async def lines(
        self, session: UUID, *, before: int | None, after: int, limit: int
    ) -> Sequence[Line]:
        """What people saw: the newest `limit` lines with `after < seq < before`, oldest first."""
        end = before if before is not None else 2**62
        records = await self._database.fetch(SQL.lines, session, after, end, limit)
        return [Line(**record) for record in reversed(records)]

    async def pending(self, session: UUID) -> Sequence[Waiting]:
        """What no turn has taken up yet, in order."""
        records = await self._database.fetch(SQL.pending, session)
        return [Waiting(*record.values()) for record in records]

    async def session(self, session: UUID) -> Session | None:
        """One conversation, or None when nobody spoke in it yet."""
        records = await self._database.fetch(SQL.session, session)
        return Session(**records[0]) if records else None

    async def newest(self, limit: int) -> Sequence[asyncpg.Record]:
        """The conversations that were active last, newest first."""
        return await self._database.fetch(SQL.sessions, limit)


def _entry(record: asyncpg.Record) -> Entry:
    calls, thinking = record["tool_calls"], record["thinking"]
    return Entry(
        seq=record["seq"],
        kind=record["kind"],
        text=record["text"],
        turn_id=record["turn_id"],
        cut=record["cut"],
        disposition=record["disposition"],
        tool_calls=_tool_calls.decode(calls) if calls else (),
        thinking=_thinking.decode(thinking) if thinking else (),
        call_id=record["call_id"] or "",
        tool_name=record["tool_name"] or "",
        failed=record["failed"],
        interrupted=record["interrupted"],
    )
