"""What the daemon tells of conversations, and does with them (see `control.sessions`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import UUID, uuid4

import msgspec
from msgspec import UNSET

from opencraw.app.channels import ChannelHost
from opencraw.attachments.attachments import Attachments
from opencraw.config import Configuration
from opencraw.contract import Opens
from opencraw.control.errors import BadField
from opencraw.control.sessions import ChosenModel, Fork
from opencraw.errors import NotFound, Refused, SlowDown
from opencraw.gateway.models import Models
from opencraw.memory.memory import Memory
from opencraw.sessions.copies import Copies
from opencraw.sessions.documents import SEARCH_SECONDS, Documents, Found
from opencraw.sessions.envelope import SessionDocument, read
from opencraw.sessions.keeping import Keeping
from opencraw.sessions.keys import Conversation, Conversations
from opencraw.sessions.transcript import Sessions
from opencraw.store.database import Database
from opencraw.worker.housekeeping import Housekeeper, Terms

#: In bytes: a page of a conversation ends before it has more, and goes on with the next.
LARGEST_PAGE = 4_000_000
#: So long a search waits for those before it.
SEARCH_PATIENCE_SECONDS = 2.0


@dataclass(frozen=True)
class Shelf:
    """The parts of a running daemon that know of conversations."""

    database: Database
    sessions: Sessions
    host: ChannelHost
    conversations: Conversations
    models: Callable[[], Models]


class DaemonSessions:
    """The conversations of one daemon."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._sessions = shelf.sessions
        self._documents = Documents(shelf.database)
        self._copies = Copies(shelf.database)
        self._keeping = Keeping(shelf.database)
        self._searching = asyncio.Lock()

    async def sessions(self, limit: int, *, archived: bool) -> Sequence[Mapping[str, object]]:
        """The conversations that were active last, of those that are archived or of the others."""
        newest = self._documents.archived if archived else self._sessions.newest
        return [
            {
                "id": str(record["id"]),
                "channel_id": record["channel"],
                "sender_id": record["opened_by"],
                "chat": record["chat"],
                "created_at": record["created_at"].isoformat(),
                "last_active": record["last_active_at"].isoformat(),
                "messages": record["messages"],
                "model_override": record["model"],
                "model_pinning": record["model_pinning"],
                "mode": record["mode"],
                "prompt_tokens": record["prompt_tokens"],
                "completion_tokens": record["completion_tokens"],
                "waiting": record["waiting"],
                "running": record["running"],
            }
            for record in await newest(limit)
        ]

    async def session(
        self, session: UUID, *, before: int | None, limit: int, whole: bool
    ) -> Mapping[str, object]:
        """A conversation as a document. Raises `NotFound`."""
        header = await self._header(session)
        after = 0 if whole else header.marks.reset_seq
        lines = await self._documents.history(
            session, after=after, before=before, limit=limit, largest=LARGEST_PAGE
        )
        return _built(msgspec.structs.replace(header, history=lines))

    async def search(
        self, text: str, *, session: UUID | None, before: datetime | None, limit: int
    ) -> Sequence[Mapping[str, object]]:
        """Lines that contain `text`, newest first. Raises `SlowDown` while others search."""
        if session is not None:
            await self._header(session)
        async with self._search_alone():
            found = await self._documents.search(text, session=session, before=before, limit=limit)
        return [_shown(each) for each in found]

    @asynccontextmanager
    async def _search_alone(self) -> AsyncIterator[None]:
        """A search keeps one of the few connections and a processor of the database busy; turns
        need the others."""
        try:
            async with asyncio.timeout(SEARCH_PATIENCE_SECONDS):
                await self._searching.acquire()
        except TimeoutError:
            raise SlowDown(
                "Others are searching, and one search runs at a time. Nothing was looked for. "
                "Search again in a few seconds.",
                retry_after=SEARCH_SECONDS,
            ) from None
        try:
            yield
        finally:
            self._searching.release()

    async def take_in(self, document: object, *, more: bool) -> Mapping[str, object]:
        """Take in an exported conversation, unless it is here. Raises `Refused`."""
        given = read(document)
        imported = await self._copies.take_in(given, more=more)
        return {"status": "ok", "id": str(given.id), "imported": imported}

    async def choose_model(self, session: UUID, chosen: ChosenModel) -> Mapping[str, object]:
        """Have another model answer from the next turn on. Raises `BadField` and `NotFound`."""
        header = await self._header(session)
        override = header.model_override
        if chosen.model_override is not UNSET:
            override = self._found_model(chosen.model_override or "")
        # Without a model of its own there is nothing to hold on to.
        kept = header.model_pinning if override is not None else "prefer"
        pinning = kept if chosen.model_pinning is UNSET else chosen.model_pinning
        if pinning == "strict" and override is None:
            raise BadField(
                "model_pinning can only be strict for a chosen model; send model_override, too.",
                code="INVALID_FIELD",
                field="model_pinning",
            )
        await self._sessions.choose_model(session, override, pinning)
        return {"status": "ok", "model_override": override, "model_pinning": pinning}

    def _found_model(self, wanted: str) -> str | None:
        if not wanted.strip():
            return None
        models = self._shelf.models()
        label = models.find(wanted.strip())
        if label is None:
            raise BadField(
                f"No configured model is called {wanted[:80]!r}; details has those there are.",
                code="INVALID_FIELD",
                field="model_override",
                details={"available_models": list(models.labels)},
            )
        return label

    async def fork(self, session: UUID, fork: Fork) -> Mapping[str, object]:
        """Go on in a new conversation on the same channel. Raises `Refused` and `NotFound`."""
        source = await self._header(session)
        here = self._new_chat(source, fork.chat or f"fork-{uuid4().hex[:8]}")
        at = source.last_seq if fork.at_seq is None else fork.at_seq
        if not 0 <= at <= source.last_seq:
            raise BadField(
                f"There is no line {at} here; the last is line {source.last_seq}.",
                code="INVALID_FIELD",
                field="at_seq",
            )
        common = await self._copies.fork(source, at, here)
        if common is None:
            raise Refused(
                f"There is a conversation at {here.address.chat!r} already. Nothing was copied. "
                "Name another chat, or none.",
                code="CONFLICT_ERROR",
            )
        return {"status": "ok", "id": str(here.id), "chat": here.address.chat, "at_seq": common}

    def _new_chat(self, source: SessionDocument, chat: str) -> Conversation:
        channel = self._shelf.host.channels.get(source.channel_id)
        if not isinstance(channel, Opens):
            raise Refused(
                f"On {source.channel_id} conversations are begun by its people, so nobody can go "
                "on there in a new one. Fork a conversation of a channel where chats are named, "
                "such as a chat of the page.",
                code="INVALID_FIELD",
            )
        address = channel.named(chat)
        alone = Conversation.at(address, source.tenant)
        if self._shelf.conversations.at(address, source.tenant).id != alone.id:
            raise Refused(
                "sessions.dm_scope joins all chats of this person, so a new one would not be a "
                "conversation of its own. Nothing was copied.",
                code="CONFLICT_ERROR",
            )
        return alone

    async def delete(self, session: UUID) -> None:
        """Remove a conversation for good. Raises `Refused` and `NotFound`."""
        await self._header(session)
        if not await self._keeping.remove(session, datetime.now(UTC)):
            raise Refused(
                "An answer is being written in this conversation, so it was not deleted. Say /stop "
                "there, or wait for the answer; then delete it.",
                code="CONFLICT_ERROR",
            )
        self._sessions.forget(session)

    async def _header(self, session: UUID) -> SessionDocument:
        header = await self._documents.header(session)
        if header is None:
            raise NotFound("There is no such conversation; `opencraw sessions` lists them.")
        return header


def open_housekeeper(
    configuration: Configuration,
    database: Database,
    memory: Memory | None,
    attachments: Attachments | None = None,
) -> Housekeeper:
    """Who sees to conversations that are over, and to files that nobody wants."""
    kept = configuration.sessions
    terms = Terms(
        archive_after=timedelta(days=kept.archive_after_days) if kept.archive_after_days else None,
        prune_after=timedelta(days=kept.prune_after_days) if kept.prune_after_days else None,
        flush_max_chars=configuration.context.compaction_flush_max_chars,
    )
    return Housekeeper(Keeping(database), memory, terms, attachments)


def _built(document: SessionDocument) -> Mapping[str, object]:
    return cast(Mapping[str, object], msgspec.to_builtins(document))


def _shown(found: Found) -> Mapping[str, object]:
    return {
        "session_id": str(found.session_id),
        "channel_id": found.channel,
        "chat": found.chat,
        "seq": found.seq,
        "by": found.by,
        "at": found.at.isoformat(),
        "message_id": str(found.message_id) if found.message_id else None,
        "snippet": found.snippet,
    }
