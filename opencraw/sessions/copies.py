"""Conversations that come from elsewhere: from a document, or from another conversation.

Both are the same: a row without lines, lines in parts, and an end. Every part may be repeated, so a
copy that was broken off is made again from its beginning. Until then no message is accepted there:
nobody is answered by an assistant that knows half of what was said.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid5

import msgspec
from msgspec.structs import astuple, replace

from opencraw.sessions.documents import Documents
from opencraw.sessions.envelope import DocumentMarks, HistoryLine, SessionDocument, UsageTotals
from opencraw.sessions.files import display_name
from opencraw.sessions.keys import Conversation
from opencraw.store.database import Database
from opencraw.store.queries import load

SQL = load("opencraw.sessions", "copies.sql")

#: So many lines, or about so many characters, are written at a time.
_MOST_LINES = 200
_MOST_CHARACTERS = 200_000
_encoder = msgspec.json.Encoder()


class Copies:
    """Writes conversations that come from elsewhere."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._documents = Documents(database)

    async def take_in(self, document: SessionDocument, *, more: bool = False) -> bool:
        """Take in a conversation with the lines that `document` holds; `more` come with a further
        one of the same. False when it is here already, and nothing happened.

        Nothing of it goes into memory: whoever may bring in conversations does not decide by that
        what is remembered of people."""
        marks = replace(document.marks, flushed_seq=document.last_seq)
        if not await self._begin(replace(document, marks=marks)):
            return False
        await self._add(document.id, [_here(line, document.id) for line in document.history])
        if not more:
            await self._database.commit(SQL.finish_copy, (document.id,))
        return True

    async def fork(self, source: SessionDocument, at: int, here: Conversation) -> int | None:
        """Go on from line `at` of a conversation in a new one; returns the last line that it has in
        common, for a step is never cut in two. None when there is a conversation `here` already."""
        at = await self._documents.whole_steps(source.id, at)
        counted = await self._database.fetch(SQL.said_until, source.id, at)
        begun = _forked(source, at, here, messages=counted[0]["messages"], now=datetime.now(UTC))
        if not await self._begin(begun):
            return None
        after = 0
        while after < at:
            end = min(after + _MOST_LINES, at)
            lines = await self._documents.history(
                source.id, after=after, before=end + 1, limit=_MOST_LINES
            )
            await self._add(here.id, [_here(line, here.id) for line in lines])
            after = end
        await self._database.commit(SQL.finish_copy, (here.id,))
        return at

    async def _begin(self, new: SessionDocument) -> bool:
        address, usage = new.address, new.usage_totals
        row = (
            *(new.id, new.key, new.tenant, new.agent),
            *(address.channel, address.account, address.chat, address.thread),
            *(new.chat_type, new.sender_id, new.created_at, new.last_active, new.begun_at),
            *(new.messages, new.last_seq, *astuple(new.marks), *astuple(usage)),
            *(new.model_override, new.model_pinning, *astuple(new.queue), new.sends),
            *(new.time_zone, new.forked_from, new.forked_seq),
        )
        record = await self._database.commit(SQL.begin_copy, row)
        return record is not None and bool(record["open"])

    async def _add(self, session: UUID, lines: Sequence[HistoryLine]) -> None:
        for part in _parts([_alone(line) for line in lines]):
            row = (session, _encoder.encode(part).decode())
            await self._database.commit(SQL.add_lines, row)


def _alone(line: HistoryLine) -> HistoryLine:
    """A line that does without its files, which stay where they are. Their names are part of it."""
    if not line.files:
        return line
    names = (f"[{display_name(each.name)}]" for each in line.files)
    return replace(line, text="\n".join(filter(None, (line.text, *names))), files=())


def _parts(lines: Sequence[HistoryLine]) -> Iterator[list[HistoryLine]]:
    part: list[HistoryLine] = []
    size = 0
    for line in lines:
        if part and (len(part) == _MOST_LINES or size > _MOST_CHARACTERS):
            yield part
            part, size = [], 0
        part.append(line)
        size += len(line.text)
    if part:
        yield part


def _here(line: HistoryLine, session: UUID) -> HistoryLine:
    """A line with ids of its own: two conversations never share a turn or a message."""

    def own(id_: UUID | None) -> UUID | None:
        return None if id_ is None else uuid5(session, str(id_))

    shown = line.delivered
    if shown is not None:
        shown = replace(shown, delivery_id=uuid5(session, str(shown.delivery_id)))
    return replace(
        line, turn_id=own(line.turn_id), message_id=own(line.message_id), delivered=shown
    )


def _forked(
    source: SessionDocument, at: int, here: Conversation, *, messages: int, now: datetime
) -> SessionDocument:
    """The row of a fork. It begins now, so no reset takes away at once what it goes on from; what
    the original's answers cost was not paid for it."""
    marks = source.marks
    # What had been left out or summed up after `at` is in view again.
    kept = marks.checkpoint_seq <= at and marks.begin_seq < at
    return replace(
        source,
        id=here.id,
        key=here.key,
        tenant=here.tenant,
        address=here.address,
        channel_id=here.address.channel,
        created_at=now,
        last_active=now,
        begun_at=now,
        messages=messages,
        usage_totals=UsageTotals(),
        last_seq=at,
        marks=DocumentMarks(
            reset_seq=marks.reset_seq if marks.reset_seq < at else 0,
            begin_seq=marks.begin_seq if kept else 0,
            checkpoint_seq=marks.checkpoint_seq if kept else 0,
            pruned_seq=min(marks.pruned_seq, at),
            # What the two have in common goes into memory once.
            flushed_seq=at,
        ),
        forked_from=source.id,
        forked_seq=at,
    )
