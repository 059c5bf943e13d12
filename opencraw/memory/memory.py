"""Search, save, flush, correct, forget.

Everything names the scopes that it may touch, and the condition on them is part of the statement:
what a turn may not know does not leave the database.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

import msgspec

from opencraw.errors import Refused
from opencraw.memory.items import (
    FLUSH_IMPORTANCE,
    LONGEST_FACT,
    Flush,
    Hit,
    Item,
    KnownScope,
    Note,
)
from opencraw.memory.ranking import Found, ranked
from opencraw.memory.scopes import Scopes
from opencraw.memory.vectors import Vectors
from opencraw.memory.words import words_asked, words_of
from opencraw.sessions.identity import Links
from opencraw.sessions.keys import AGENT
from opencraw.store.database import Database, Record
from opencraw.store.queries import load
from opencraw.store.text import storable

SQL = load("opencraw.memory", "memory.sql")
UPKEEP = load("opencraw.memory", "upkeep.sql")

MOST_ITEMS = 50_000
#: Of one search.
MOST_HITS = 50
MOST_LISTED = 2_000
#: Of those that operators are shown. More memories of one are not counted.
MOST_SCOPES, MOST_COUNTED = 500, 10_000
#: What one way of searching may bring up.
_MOST_FOUND = 200
_FORGOTTEN_AT_ONCE = 200
#: Of one scope, in one round.
_MOST_TIDIED = 5_000
#: A reader waits so long for a database that is away; then he goes without.
_PATIENCE_SECONDS = 5.0
_MEMORIES = UUID("6f70656e-6372-6177-8000-6d656d6f7279")
_encoder = msgspec.json.Encoder()


class Memory:
    """What is remembered, behind scopes."""

    def __init__(
        self,
        database: Database,
        links: Links | None = None,
        vectors: Vectors | None = None,
        *,
        most_items: int = MOST_ITEMS,
    ) -> None:
        self.links = links or Links()
        self._database = database
        self._vectors = vectors
        self._most_items = most_items
        #: Tenants and scopes that something was written in since they were last found small enough,
        #: in that order; only these can have become too large.
        self._grown: dict[tuple[str, str], None] = {}

    @property
    def problem(self) -> str | None:
        """Why it works worse than configured; None when all is well."""
        return self._vectors.problem if self._vectors is not None else None

    async def run(self) -> None:
        """Give memories their vectors, until cancelled; nothing is to be done where there are to be
        none."""
        if self._vectors is not None:
            await self._vectors.run()

    async def close(self) -> None:
        """Let go of what is connected."""
        if self._vectors is not None:
            await self._vectors.close()

    async def search(
        self, scopes: Scopes, query: str, *, limit: int = 5, without: Collection[UUID] = ()
    ) -> Sequence[Hit]:
        """The memories that fit `query` best, best first."""
        by_words, by_meaning = await asyncio.gather(
            self._by_words(scopes, query, without), self._by_meaning(scopes, query, without)
        )
        best = ranked(by_words, by_meaning, datetime.now(UTC))[: min(limit, MOST_HITS)]
        items = {each.id: each for each in await self._read(scopes, [id_ for id_, _ in best])}
        return [Hit(items[id_], score) for id_, score in best if id_ in items]

    async def get(self, scopes: Scopes, item: UUID) -> Item | None:
        """One memory; None when it is not there or not to be known here."""
        return next(iter(await self._read(scopes, [item])), None)

    async def save(self, scopes: Scopes, note: Note, *, session_id: UUID | None = None) -> Item:
        """Remember a note, from where the session has got to. The same text in the same scope is
        the same item. Raises `Refused` for one that is empty or too long."""
        text = _checked(note.text)
        row = (
            _id_of_text(scopes, text),
            scopes.tenant,
            AGENT,
            scopes.own,
            note.kind,
            text,
            _importance(note.importance),
            _json(words_of(text)),
            session_id,
        )
        record = await self._database.commit(SQL.save, row)
        assert record is not None  # a row of ours always comes back
        self._grew(scopes)
        return _item(record)

    async def flush(self, flush: Flush) -> None:
        """Keep what leaves a conversation's window and mark it as kept, in one write. A repeated
        flush, or one of what was flushed before, changes nothing. Raises `LookupError` for one that
        would leave out what came before it."""
        scopes = flush.scopes
        record = await self._database.commit(
            SQL.flush,
            (
                flush.session_id,
                flush.from_seq,
                flush.through_seq,
                scopes.tenant,
                AGENT,
                scopes.own,
                storable(flush.channel_id),
                storable(flush.sender_id),
                flush.message_count,
                flush.token_estimate,
                _json([*_notes(flush), *_passages(flush)]),
            ),
        )
        if record is None:
            raise LookupError(
                f"memory lacks what came before line {flush.from_seq} of session "
                f"{flush.session_id}; nothing is kept before that is"
            )
        self._grew(scopes)

    async def items(
        self, scopes: Scopes, *, before: tuple[datetime, UUID] | None = None, limit: int = 100
    ) -> Sequence[Item]:
        """The newest memories, newest first; those after `before`, which names a memory by when it
        was created and its id."""
        at, item = before or (None, None)
        records = await self._fetch(
            SQL.newest_items, scopes.tenant, scopes.readable, at, item, min(limit, MOST_LISTED)
        )
        return [_item(record) for record in records]

    async def called(self, scopes: Scopes, beginning: str) -> Sequence[Item]:
        """Those whose ids begin with these digits; two of them are enough to be in doubt."""
        ends = (UUID(beginning.ljust(32, digit)) for digit in "0f")
        records = await self._fetch(SQL.called, scopes.tenant, scopes.readable, *ends)
        return [_item(record) for record in records]

    async def most_important(
        self, scopes: Scopes, since: datetime, limit: int = 100
    ) -> Sequence[Item]:
        """What is most worth knowing of what was said since then, the most important first."""
        records = await self._fetch(
            SQL.most_important_since, scopes.tenant, scopes.readable, since, min(limit, MOST_LISTED)
        )
        return [_item(record) for record in records]

    async def correct(self, scopes: Scopes, item: UUID, text: str) -> Item | None:
        """What a person says it is instead; None when it is not there or not to be changed here.
        Raises `Refused` for a text that is empty or too long."""
        text = _checked(text)
        changeable = _json(scopes.changeable)
        row = (item, scopes.tenant, changeable, text, _json(words_of(text)))
        record = await self._database.commit(SQL.correct, row)
        self._changed()
        return _item(record) if record is not None else None

    async def forget(self, scopes: Scopes, item: UUID) -> bool:
        """Delete one memory; False when it is not there or not to be changed here."""
        found = await self._read(scopes, [item])
        if not found or found[0].scope not in scopes.changeable:
            return False
        await self._forget(scopes.tenant, scopes.changeable, [item])
        return True

    async def forget_all(self, scopes: Scopes) -> int:
        """Delete everything that `scopes` may change; returns how much that was."""
        mine = scopes.private
        count = 0
        while items := await self.items(mine, limit=_FORGOTTEN_AT_ONCE):
            await self._forget(mine.tenant, mine.changeable, [each.id for each in items])
            count += len(items)
        return count

    async def known_scopes(self, tenant: str) -> Sequence[KnownScope]:
        """For operators: which scopes hold something, those that are in use first. No text of
        theirs is read."""
        records = await self._fetch(UPKEEP.known_scopes, tenant, MOST_SCOPES, MOST_COUNTED)
        return [KnownScope(*record) for record in records]

    async def tidy(self) -> None:
        """Make scopes that grew too large smaller: what matters least gives way. One that was left
        too large, as the daemon ended, is seen to when something is written there again."""
        for tenant, scope in tuple(self._grown):
            # Before the look: what is written from now on is not overlooked. And a scope that
            # fails waits behind the others.
            del self._grown[tenant, scope]
            try:
                await self._tidy(tenant, scope)
            except BaseException:
                self._grown[tenant, scope] = None
                raise

    async def _tidy(self, tenant: str, scope: str) -> None:
        most = self._most_items
        [[beyond]] = await self._fetch(SQL.beyond, tenant, scope, most, _MOST_TIDIED)
        if beyond >= _MOST_TIDIED:
            self._grown[tenant, scope] = None  # the next round goes on
        while beyond > 0:
            some = min(beyond, _FORGOTTEN_AT_ONCE)
            records = await self._fetch(SQL.first_to_go, tenant, scope, some)
            if not records:
                return  # people have corrected all that is left
            await self._forget(tenant, [scope], [record["id"] for record in records])
            beyond -= len(records)

    async def _by_words(
        self, scopes: Scopes, query: str, without: Collection[UUID]
    ) -> Sequence[Found]:
        asked = [_quoted(word) for word in words_asked(storable(query))]
        if not asked:
            return ()
        records = await self._fetch(
            SQL.find_by_words, scopes.tenant, scopes.readable, asked, list(without), _MOST_FOUND
        )
        return [Found(*record) for record in records]

    async def _by_meaning(
        self, scopes: Scopes, query: str, without: Collection[UUID]
    ) -> Sequence[Found]:
        if self._vectors is None or not query.strip():
            return ()
        return await self._vectors.near(scopes, storable(query), without)

    async def _read(self, scopes: Scopes, items: Sequence[UUID]) -> Sequence[Item]:
        if not items:
            return ()
        records = await self._fetch(SQL.read_items, scopes.tenant, scopes.readable, items)
        return [_item(record) for record in records]

    async def _fetch(self, sql: str, *arguments: object) -> Sequence[Record]:
        return await self._database.fetch(sql, *arguments, patience=_PATIENCE_SECONDS)

    async def _forget(self, tenant: str, scopes: Sequence[str], items: Iterable[UUID]) -> None:
        named = _json(scopes)
        async with asyncio.TaskGroup() as writes:
            for item in items:
                row = (item, tenant, named)
                writes.create_task(self._database.commit(SQL.forget, row))

    def _grew(self, scopes: Scopes) -> None:
        self._grown[scopes.tenant, scopes.own] = None
        self._changed()

    def _changed(self) -> None:
        if self._vectors is not None:
            self._vectors.wake()


def _checked(text: str) -> str:
    text = storable(text).strip()
    if not text:
        raise Refused("A memory needs a text.", code="MISSING_FIELD")
    if len(text) > LONGEST_FACT:
        raise Refused(
            f"A memory has at most {LONGEST_FACT:,} characters, this text has {len(text):,}. Say"
            " what matters in it, or save it in parts.",
            code="INVALID_FIELD",
        )
    return text


def _notes(flush: Flush) -> Iterable[dict[str, object]]:
    for number, note in enumerate(flush.notes):
        # Nobody is there to hear that a note is too long.
        text = storable(note.text).strip()[:LONGEST_FACT]
        if text:
            yield {
                "id": _id_of_text(flush.scopes, text),
                "kind": note.kind,
                "text": text,
                "importance": _importance(note.importance),
                "words": words_of(text),
                "number": number,
            }


def _passages(flush: Flush) -> Iterable[dict[str, object]]:
    for number, passage in enumerate(flush.passages):
        text = storable(passage).strip()
        if text:
            yield {
                "id": uuid5(_MEMORIES, f"{flush.session_id}/{flush.through_seq}/{number}"),
                "kind": "pre_compaction_flush",
                "text": text,
                "importance": FLUSH_IMPORTANCE,
                "words": words_of(text),
                "number": len(flush.notes) + number,
            }


def _id_of_text(scopes: Scopes, text: str) -> UUID:
    """The same for texts that differ in nothing but case and spaces."""
    same = re.sub(r"\s+", " ", text).casefold()
    return uuid5(_MEMORIES, _json([scopes.tenant, scopes.own, same]))


def _importance(given: float) -> float:
    return min(max(given, 0.0), 1.0)


def _item(record: Record) -> Item:
    return Item(*(record[name] for name in Item.__dataclass_fields__))


def _json(value: Any) -> str:
    return _encoder.encode(value).decode()


def _quoted(word: str) -> str:
    """A word as a query of its own, whatever characters it has."""
    escaped = word.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
