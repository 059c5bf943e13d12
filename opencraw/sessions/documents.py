"""Conversations read as documents, and searched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from opencraw.model import Thinking, ToolCall
from opencraw.sessions.choice import QueueChoice
from opencraw.sessions.envelope import (
    CURRENT,
    Delivered,
    DocumentMarks,
    HistoryLine,
    NamedFile,
    Queue,
    SessionDocument,
    UsageTotals,
)
from opencraw.sessions.files import files_of
from opencraw.sessions.keeping import address_of
from opencraw.sessions.transcript import NO_END
from opencraw.store.database import Database, Record
from opencraw.store.queries import load

SQL = load("opencraw.sessions", "documents.sql")

#: A search that has not found enough after so many seconds is given up.
SEARCH_SECONDS = 5.0
#: So much of a line is shown before and after what was found.
AROUND = 80
_FOREVER = datetime.max.replace(tzinfo=UTC)
_tool_calls = msgspec.json.Decoder(tuple[ToolCall, ...])
_thinking = msgspec.json.Decoder(tuple[Thinking, ...])


@dataclass(frozen=True, slots=True)
class Found:
    """A line that somebody looked for."""

    session_id: UUID
    key: str
    channel: str
    chat: str
    seq: int
    by: str
    at: datetime
    #: Of the message or the delivery, where the line is one.
    message_id: UUID | None
    snippet: str


class Documents:
    """Conversations for operators."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def header(self, session: UUID) -> SessionDocument | None:
        """A conversation without its history; None when there is none, or it was removed."""
        records = await self._database.fetch(SQL.header, session)
        return _header(records[0]) if records else None

    async def archived(self, limit: int) -> Sequence[Record]:
        """The archived conversations that were active last, newest first."""
        return await self._database.fetch(SQL.archived, limit)

    async def history(
        self,
        session: UUID,
        *,
        after: int = 0,
        before: int | None = None,
        limit: int,
        largest: int | None = None,
    ) -> tuple[HistoryLine, ...]:
        """Its newest `limit` lines with `after < seq < before`, oldest first; fewer, but one, where
        they have more than `largest` bytes."""
        end = NO_END if before is None else before
        most = NO_END if largest is None else largest
        records = await self._database.fetch(SQL.history, session, after, end, limit, most)
        return tuple(map(_line, reversed(records)))

    async def whole_steps(self, session: UUID, at: int) -> int:
        """The last line up to `at` at which every call of a tool has its result."""
        records = await self._database.fetch(SQL.open_calls, session, at)
        waiting: dict[str, int] = {}
        for record in records:
            if record["kind"] == "tool_result":
                waiting.pop(record["call_id"], None)
            else:
                calls = _tool_calls.decode(record["tool_calls"] or "[]")
                waiting |= {call.id: record["seq"] for call in calls}
        return min(waiting.values()) - 1 if waiting else at

    async def search(
        self,
        text: str,
        *,
        session: UUID | None = None,
        before: datetime | None = None,
        limit: int = 20,
    ) -> Sequence[Found]:
        """The newest lines of people and answers that contain `text`, in any case. Raises
        `Unavailable` when that takes too long."""
        records = await self._database.fetch(
            SQL.search,
            session,
            _pattern(text),
            text,
            before or _FOREVER,
            limit,
            AROUND,
            patience=SEARCH_SECONDS,
        )
        return [_found(record) for record in records]


def _pattern(text: str) -> str:
    """What matches every text that contains this one, whatever is in it."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def _found(record: Record) -> Found:
    begin = max(record["place"] - AROUND, 1)
    end = begin + len(record["around"]) - 1
    words = " ".join(record["around"].split())
    return Found(
        session_id=record["session_id"],
        key=record["key"],
        channel=record["channel"],
        chat=record["chat"],
        seq=record["seq"],
        by=record["kind"],
        at=record["created_at"],
        message_id=record["message_id"],
        snippet=f"{'…' if begin > 1 else ''}{words}{'…' if end < record['size'] else ''}",
    )


def _header(record: Record) -> SessionDocument:
    return SessionDocument(
        schema_version=CURRENT,
        id=record["id"],
        key=record["key"],
        tenant=record["tenant"],
        agent=record["agent"],
        address=address_of(record),
        channel_id=record["channel"],
        sender_id=record["opened_by"],
        chat_type=record["chat_type"],
        created_at=record["created_at"],
        last_active=record["last_active_at"],
        begun_at=record["begun_at"],
        archived_at=record["archived_at"],
        messages=record["messages"],
        last_seq=record["last_seq"],
        marks=DocumentMarks(*(record[name] for name in DocumentMarks.__struct_fields__)),
        show_thinking=False,
        show_tool_calls=False,
        usage_totals=UsageTotals(*(record[name] for name in UsageTotals.__struct_fields__)),
        last_user_message_id=record["last_user_message_id"],
        last_assistant_message_id=record["last_assistant_message_id"],
        model_override=record["model"],
        model_pinning=record["model_pinning"],
        queue=Queue(*QueueChoice.of(record).columns),  # type: ignore[arg-type]  # checked by the table
        sends=record["sends"],
        time_zone=record["time_zone"],
        forked_from=record["forked_from"],
        forked_seq=record["forked_seq"],
        history=(),
    )


def _line(record: Record) -> HistoryLine:
    calls, thinking = record["tool_calls"], record["thinking"]
    person = (
        {name: record[name] for name in ("asked_by", "rights", "origin")}
        if record["asked_by"] is not None
        else {}
    )
    return HistoryLine(
        seq=record["seq"],
        kind=record["kind"],
        text=record["text"],
        at=record["at"],
        turn_id=record["turn_id"],
        message_id=record["message_id"],
        disposition=record["disposition"],
        tool_calls=_tool_calls.decode(calls) if calls else (),
        thinking=_thinking.decode(thinking) if thinking else (),
        call_id=record["call_id"],
        tool_name=record["tool_name"],
        failed=record["failed"],
        interrupted=record["interrupted"],
        covers=record["covers"],
        items=tuple(record["items"] or ()),
        delivered=_delivered(record),
        files=tuple(
            NamedFile(each.name, each.content_type, each.size) for each in files_of(record["files"])
        ),
        **person,
    )


def _delivered(record: Record) -> Delivered | None:
    if record["delivery_id"] is None:
        return None
    shown = record["shown"]
    return Delivered(
        record["delivery_id"],
        record["shown_as"],
        record["shown_at"],
        # Nothing is sent, kept and read twice.
        None if shown == record["text"] else shown,
        tuple(record["tools"]),
        interrupted=record["shown_in_part"],
    )
