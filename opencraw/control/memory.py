"""Routes to what is remembered: look at it, search it, correct it, forget it, take it along.

The credential of an operator may name any scope. Each call names one, by itself or by the person
that it belongs to, and everything below filters on it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import orjson
from aiohttp import web

from opencraw.contract import DEFAULT_TENANT, Route
from opencraw.control import bodies
from opencraw.control.api import PREFIX, limit_of
from opencraw.control.errors import BadField, json_response
from opencraw.errors import NotFound, Refused
from opencraw.memory.items import Item, KnownScope, Note
from opencraw.memory.memory import Memory
from opencraw.memory.scopes import Scopes, named, person_of, whose
from opencraw.memory.summary import MOST_LISTED, by_day, since
from opencraw.sessions.keys import AGENT

SCHEMA_VERSION = 1
#: Of one search.
MOST_FOUND = 50
_USUAL_FOUND = 5
#: Of one page of a list, and of one read of an export.
MOST_ITEMS = 500
_USUAL_ITEMS = 100
_READ, _WRITE = "memory:read", "memory:write"
_LONGEST_QUERY = 2_000
_OFF = (
    "Memory is off: nothing is remembered beyond a conversation, and there is nothing to show. Set "
    "enabled = true under [memory] in the configuration and start the daemon again."
)
_GONE = "There is no such memory in this scope; it may have been forgotten. List them again."
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_BEGINNING = re.compile(r"[0-9a-f]{4,32}")
_EXPORTED = {
    "Content-Type": "application/x-ndjson; charset=utf-8",
    "Content-Disposition": 'attachment; filename="opencraw-memory.jsonl"',
}


class Search(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `memory/search`: a person, or a scope."""

    query: str
    channel_id: str = ""
    sender_id: str = ""
    scope: str = ""
    limit: int = _USUAL_FOUND


class Summarize(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `memory/summarize`."""

    horizon: str
    channel_id: str = ""
    sender_id: str = ""
    scope: str = ""


class Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a new memory."""

    text: str
    importance: float = 0.5


class Correction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a correction."""

    text: str


class ForgetAll(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `memory/forget`. The scope is named twice, as what follows cannot be undone."""

    scope: str
    confirm: str


class MemoryApi:
    """The handlers. Without a memory they say how to turn it on."""

    def __init__(self, memory: Memory | None) -> None:
        self._known = memory

    def routes(self) -> Sequence[Route]:
        """The routes to mount. Searching has a body and changes nothing."""
        items = f"{PREFIX}/memory/items"
        return (
            Route("POST", f"{PREFIX}/memory/search", self._search, scope=_READ),
            Route("POST", f"{PREFIX}/memory/summarize", self._summarize, scope=_READ),
            Route("GET", f"{PREFIX}/memory/scopes", self._scopes, scope=_READ),
            Route("GET", f"{PREFIX}/memory/export", self._export, scope=_READ),
            Route("POST", f"{PREFIX}/memory/forget", self._forget_all, scope=_WRITE),
            Route("GET", items, self._items, scope=_READ),
            Route("POST", items, self._remember, scope=_WRITE),
            Route("PATCH", f"{items}/{{id}}", self._correct, scope=_WRITE),
            Route("DELETE", f"{items}/{{id}}", self._forget, scope=_WRITE),
        )

    @property
    def _memory(self) -> Memory:
        if self._known is None:
            raise Refused(_OFF, code="MEMORY_DISABLED")
        return self._known

    async def _search(self, request: web.Request) -> web.Response:
        memory = self._memory
        asked = await bodies.read(request, Search)
        if not asked.query.strip() or len(asked.query) > _LONGEST_QUERY:
            raise _wrong("query", f"has 1 to {_LONGEST_QUERY:,} characters")
        if not 1 <= asked.limit <= MOST_FOUND:
            raise _wrong("limit", f"is a number from 1 to {MOST_FOUND}")
        hits = await memory.search(self._meant(asked), asked.query, limit=asked.limit)
        return json_response(
            {
                "status": "ok",
                "agent_id": AGENT,
                "query": asked.query,
                "limit": asked.limit,
                "items": [{**as_json(hit.item), "score": round(hit.score, 4)} for hit in hits],
            }
        )

    async def _summarize(self, request: web.Request) -> web.Response:
        memory = self._memory
        asked = await bodies.read(request, Summarize)
        try:
            begin = since(asked.horizon, datetime.now(UTC))
        except ValueError as error:
            raise BadField(f"horizon: {error}.", code="INVALID_FIELD", field="horizon") from None
        items = await memory.most_important(self._meant(asked), begin, MOST_LISTED)
        return json_response(
            {
                "status": "ok",
                "agent_id": AGENT,
                "horizon": asked.horizon,
                "summary": by_day(items),
            }
        )

    async def _scopes(self, _request: web.Request) -> web.Response:
        known = await self._memory.known_scopes(DEFAULT_TENANT)
        return json_response({"scopes": [_listed(each) for each in known]})

    async def _items(self, request: web.Request) -> web.Response:
        memory, scopes = self._memory, _scope(request.query.get("scope"))
        if (beginning := request.query.get("id")) is not None:
            called = await memory.called(scopes, _digits(beginning))
            return json_response({"items": [as_json(item) for item in called], "next": None})
        limit = limit_of(request, usual=_USUAL_ITEMS, most=MOST_ITEMS)
        before = _place(request.query.get("before"))
        found = await memory.items(scopes, before=before, limit=limit)
        # A full page may be the last one; then the next is empty.
        following = _written(found[-1]) if len(found) == limit else None
        return json_response({"items": [as_json(item) for item in found], "next": following})

    async def _remember(self, request: web.Request) -> web.Response:
        memory, scopes = self._memory, _scope(request.query.get("scope"))
        told = await bodies.read(request, Told)
        if not 0 <= told.importance <= 1:
            raise _wrong("importance", "is a number from 0 to 1")
        item = await memory.save(scopes, Note(_text(told.text), told.importance))
        return json_response({"status": "ok", "item": as_json(item)}, status=201)

    async def _correct(self, request: web.Request) -> web.Response:
        memory, scopes = self._memory, _scope(request.query.get("scope"))
        correction = await bodies.read(request, Correction)
        item = await memory.correct(scopes, _id(request), _text(correction.text))
        if item is None:
            raise NotFound(_GONE)
        return json_response({"status": "ok", "item": as_json(item)})

    async def _forget(self, request: web.Request) -> web.Response:
        memory, scopes = self._memory, _scope(request.query.get("scope"))
        if not await memory.forget(scopes, _id(request)):
            raise NotFound(_GONE)
        return json_response({"status": "ok"})

    async def _forget_all(self, request: web.Request) -> web.Response:
        memory = self._memory
        asked = await bodies.read(request, ForgetAll)
        scopes = _scope(asked.scope)
        if asked.confirm != asked.scope:
            raise _wrong("confirm", "repeats the name of the scope, word for word")
        return json_response({"status": "ok", "forgotten": await memory.forget_all(scopes)})

    async def _export(self, request: web.Request) -> web.StreamResponse:
        memory, scopes = self._memory, _scope(request.query.get("scope"))
        # Before the answer begins: what fails after this can only break it off.
        first = await memory.items(scopes, limit=MOST_ITEMS)
        response = web.StreamResponse(headers=_EXPORTED)
        await response.prepare(request)
        head = {
            "schema_version": SCHEMA_VERSION,
            "kind": "opencraw_memory",
            "scope": scopes.own,
            "exported_at": datetime.now(UTC).isoformat(),
        }
        await response.write(orjson.dumps(head) + b"\n")
        async for page in _pages(memory, scopes, first):
            await response.write(b"".join(orjson.dumps(as_json(item)) + b"\n" for item in page))
        await response.write_eof()
        return response

    def _meant(self, asked: Search | Summarize) -> Scopes:
        """The one scope that a body names, or all that a turn of the person in it may know."""
        person = bool(asked.channel_id or asked.sender_id)
        if person == bool(asked.scope):
            raise BadField(
                "Name channel_id and sender_id, or else a scope.",
                code="MISSING_FIELD",
                field="scope" if person else "channel_id",
            )
        if asked.scope:
            return _scope(asked.scope)
        for name in ("channel_id", "sender_id"):
            if not getattr(asked, name).strip():
                raise BadField(f"{name} is missing; add it.", code="MISSING_FIELD", field=name)
        scopes = person_of(DEFAULT_TENANT, asked.channel_id, asked.sender_id, self._memory.links)
        assert scopes is not None  # neither is empty
        return scopes


async def _pages(
    memory: Memory, scopes: Scopes, first: Sequence[Item]
) -> AsyncIterator[Sequence[Item]]:
    page = first
    while page:
        yield page
        if len(page) < MOST_ITEMS:
            return
        last = page[-1]
        before = (last.created_at, last.id)
        page = await memory.items(scopes, before=before, limit=MOST_ITEMS)


def as_json(item: Item) -> dict[str, object]:
    """A memory as programs and files get it."""
    return {
        "schema_version": SCHEMA_VERSION,
        "id": str(item.id),
        "scope": item.scope,
        "kind": item.kind,
        "text": item.text,
        "importance": round(item.importance, 3),
        "said_at": item.said_at.isoformat(),
        "created_at": item.created_at.isoformat(),
        "corrected_at": item.corrected_at and item.corrected_at.isoformat(),
        "session_id": item.session_id and str(item.session_id),
        "from_seq": item.from_seq,
        "to_seq": item.to_seq,
    }


def _listed(known: KnownScope) -> Mapping[str, object]:
    """A scope, and what its name says. Its name is ours, or was given by hand in the database."""
    said = whose(known.scope)
    return {
        "scope": known.scope,
        "kind": said and said.kind,
        "channel_id": said and said.channel,
        "name": said and said.name,
        "items": known.items,
        "newest": known.newest.isoformat(),
    }


def _scope(scope: str | None) -> Scopes:
    """One scope by its name, to be read and changed."""
    if not scope:
        raise BadField(
            "Name the scope that is meant; GET /memory/scopes lists them.",
            code="MISSING_FIELD",
            field="scope",
        )
    scopes = named(DEFAULT_TENANT, scope)
    if scopes is None:
        raise _wrong(
            "scope", "is one of those that `opencraw memory scopes`, or GET /memory/scopes, lists"
        )
    return scopes


def _written(item: Item) -> str:
    """The place of a memory in a list, as an address takes it."""
    return f"{item.created_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}_{item.id}"


def _place(text: str | None) -> tuple[datetime, UUID] | None:
    if text is None:
        return None
    moment, _, name = text.partition("_")
    try:
        at = datetime.strptime(moment, "%Y-%m-%dT%H:%M:%S.%f").replace(tzinfo=UTC)
    except ValueError:
        at = None
    if at is None or not _UUID.fullmatch(name):
        raise _wrong("before", "is what an earlier answer gave as next")
    return at, UUID(name)


def _id(request: web.Request) -> UUID:
    text = request.match_info["id"]
    if _UUID.fullmatch(text) is None:
        raise _wrong("id", "is the whole id of a memory")
    return UUID(text)


def _digits(text: str) -> str:
    digits = text.casefold().replace("-", "")
    if _BEGINNING.fullmatch(digits) is None:
        raise _wrong("id", "is the beginning of the id of a memory, at least 4 characters")
    return digits


def _text(text: str) -> str:
    if not text.strip():
        raise _wrong("text", "says something; to remove a memory, forget it")
    return text


def _wrong(name: str, rule: str) -> BadField:
    return BadField(f"{name} {rule}.", code="INVALID_FIELD", field=name)
