"""Routes about conversations: list, read, search, choose the model, go on elsewhere, delete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal, Protocol
from uuid import UUID

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

from opencraw.contract import Route
from opencraw.control import bodies
from opencraw.control.api import PREFIX, limit_of
from opencraw.control.errors import BadField, json_response

_READ = "sessions:read"
_WRITE = "sessions:write"
_MOST_SESSIONS = 1000
_USUAL_SESSIONS = 100
_MOST_LINES = 1000
_USUAL_LINES = 100
_MOST_FOUND = 100
_USUAL_FOUND = 20
_LONGEST_SEARCH = 200
_YES = frozenset({"true", "1", "yes"})

Pinning = Literal["prefer", "strict"]


class ChosenModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `sessions/{id}/model`; what is left out stays as it is."""

    model_override: str | UnsetType | None = UNSET
    model_pinning: Pinning | UnsetType = UNSET


class Fork(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `sessions/{id}/fork`."""

    #: The last line that both have in common; left out, the newest.
    at_seq: int | None = None
    #: The name of the new chat; left out, one is made up.
    chat: str | None = None


class SessionFacts(Protocol):
    """What the routes may ask of the daemon. All raise `NotFound` for a conversation that is not
    there."""

    async def sessions(self, limit: int, *, archived: bool) -> Sequence[Mapping[str, object]]:
        """The conversations that are listed, or those that are archived, the last active first."""
        ...

    async def session(
        self, session: UUID, *, before: int | None, limit: int, whole: bool
    ) -> Mapping[str, object]:
        """A conversation with its newest lines, from where it began anew, or `whole`; fewer than
        `limit` where they are large."""
        ...

    async def search(
        self, text: str, *, session: UUID | None, before: datetime | None, limit: int
    ) -> Sequence[Mapping[str, object]]:
        """Lines that contain `text`, newest first. Raises `SlowDown` while others search."""
        ...

    async def take_in(self, document: object, *, more: bool) -> Mapping[str, object]:
        """Take in an exported conversation. Raises `Refused`."""
        ...

    async def choose_model(self, session: UUID, chosen: ChosenModel) -> Mapping[str, object]:
        """Have another model answer. Raises `BadField`."""
        ...

    async def fork(self, session: UUID, fork: Fork) -> Mapping[str, object]:
        """Go on in a new conversation. Raises `Refused` where nobody can begin one."""
        ...

    async def delete(self, session: UUID) -> None:
        """Remove a conversation for good. Raises `Refused` while a turn runs in it."""
        ...


class SessionsApi:
    """The handlers."""

    def __init__(self, facts: SessionFacts) -> None:
        self._facts = facts

    def routes(self) -> Sequence[Route]:
        """The routes to mount."""
        one = f"{PREFIX}/sessions/{{id}}"
        return (
            Route("GET", f"{PREFIX}/sessions", self._list, scope=_READ),
            Route("POST", f"{PREFIX}/sessions", self._take_in, scope=_WRITE),
            Route("GET", f"{PREFIX}/sessions/search", self._search, scope=_READ),
            Route("GET", one, self._show, scope=_READ),
            Route("DELETE", one, self._delete, scope=_WRITE),
            Route("POST", f"{one}/model", self._choose_model, scope=_WRITE),
            Route("POST", f"{one}/fork", self._fork, scope=_WRITE),
        )

    async def _list(self, request: web.Request) -> web.Response:
        limit = limit_of(request, usual=_USUAL_SESSIONS, most=_MOST_SESSIONS)
        found = await self._facts.sessions(limit, archived=_is_yes(request, "archived"))
        return json_response({"sessions": list(found)})

    async def _show(self, request: web.Request) -> web.Response:
        shown = await self._facts.session(
            _session(request),
            before=_number(request, "before"),
            limit=limit_of(request, usual=_USUAL_LINES, most=_MOST_LINES),
            whole=_is_yes(request, "whole"),
        )
        return json_response(shown)

    async def _search(self, request: web.Request) -> web.Response:
        text = request.query.get("q", "").strip()
        if not 0 < len(text) <= _LONGEST_SEARCH or "\0" in text:
            raise BadField(
                f"Say what to look for, in 1 to {_LONGEST_SEARCH} characters.",
                code="INVALID_FIELD" if text else "MISSING_FIELD",
                field="q",
            )
        named = request.query.get("session")
        found = await self._facts.search(
            text,
            session=None if named is None else _id(named, "session"),
            before=_moment(request, "before"),
            limit=limit_of(request, usual=_USUAL_FOUND, most=_MOST_FOUND),
        )
        return json_response({"found": list(found)})

    async def _take_in(self, request: web.Request) -> web.Response:
        document = bodies.parse(await request.read())
        answer = await self._facts.take_in(document, more=_is_yes(request, "more"))
        return json_response(answer, status=201 if answer["imported"] else 200)

    async def _choose_model(self, request: web.Request) -> web.Response:
        chosen = await bodies.read(request, ChosenModel)
        return json_response(await self._facts.choose_model(_session(request), chosen))

    async def _fork(self, request: web.Request) -> web.Response:
        fork = await bodies.read(request, Fork) if request.body_exists else Fork()
        return json_response(await self._facts.fork(_session(request), fork), status=201)

    async def _delete(self, request: web.Request) -> web.Response:
        await self._facts.delete(_session(request))
        return json_response({"status": "ok"})


def _session(request: web.Request) -> UUID:
    return _id(request.match_info["id"], "id")


def _id(text: str, name: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise BadField(
            f"{name} is the id of a conversation; `opencraw sessions` shows them.",
            code="INVALID_FIELD",
            field=name,
        ) from None


def _number(request: web.Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise BadField(f"{name} is the number of a line.", code="INVALID_FIELD", field=name)
    return int(text)


def _moment(request: web.Request, name: str) -> datetime | None:
    text = request.query.get(name)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        # The first and the last hours there are have no equal in another zone.
        found = moment.astimezone(UTC) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        found = None
    if found is None:
        raise BadField(
            f"{name} is a moment with its time zone, as in 2026-01-31T12:00:00Z.",
            code="INVALID_FIELD",
            field=name,
        )
    return found


def _is_yes(request: web.Request, name: str) -> bool:
    return request.query.get(name, "").casefold() in _YES
