"""Our own routes: is the daemon alive, is it ready, what is it doing, and say something for me.

What they tell comes from `Facts`, which the composition root implements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

import msgspec
from aiohttp import web

from opencraw.contract import Route
from opencraw.control import bodies
from opencraw.control.errors import BadField, json_response
from opencraw.control.guard import CREDENTIAL
from opencraw.control.readiness import Readiness

PREFIX = "/api/v1/os"
_STATUS_SCOPE = "control:read"
_MESSAGES_SCOPE = "messages:read"
_MOST_MESSAGES = 200
_USUAL_MESSAGES = 20


class Facts(Protocol):
    """What the routes may ask of the daemon."""

    async def checks(self) -> Mapping[str, str | None]:
        """Name and problem of every check, None where all is well. See `readiness.run_checks`."""
        ...

    def remarks(self) -> Mapping[str, str]:
        """What is not well, by its name, and yet no reason to be taken for not ready."""
        ...

    async def status(self) -> Mapping[str, object]:
        """Version, model, database, channels, and how much is running and waiting."""
        ...

    async def messages(self, limit: int) -> Sequence[Mapping[str, object]]:
        """The messages that were accepted last, each explained as by `explain`."""
        ...

    async def explain(self, name: str) -> Mapping[str, object]:
        """Why a message was, or was not, answered. `name` is its id, that of its turn or of a
        delivery, or the beginning of one.

        Raises `NotFound`, and `Refused` for what is no id.
        """
        ...

    async def send(self, channel: str, recipient: str, message: str) -> UUID:
        """Put a message into the outbox; return its id once it is durable.

        Raises `NotFound` for a channel that is not there, `Refused` for a recipient it cannot have.
        """
        ...


class Outgoing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `messages/send`."""

    channel: str
    recipient: str
    message: str


class Api:
    """The handlers."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._readiness = Readiness(facts.checks)

    def routes(self) -> Sequence[Route]:
        """The routes to mount."""
        return (
            Route("GET", "/health", self._alive, public=True),
            Route("GET", "/healthz", self._alive, public=True),
            Route("GET", "/ready", self._ready, public=True),
            Route("GET", "/readyz", self._ready, public=True),
            Route("GET", f"{PREFIX}/health", self._health, scope=_STATUS_SCOPE),
            Route("GET", f"{PREFIX}/status", self._status, scope=_STATUS_SCOPE),
            Route("GET", f"{PREFIX}/messages", self._messages, scope=_MESSAGES_SCOPE),
            Route("GET", f"{PREFIX}/messages/{{name}}", self._explain, scope=_MESSAGES_SCOPE),
            Route("POST", f"{PREFIX}/messages/send", self._send, scope="messages:write"),
        )

    async def _alive(self, _request: web.Request) -> web.Response:
        return json_response({"status": "ok"})

    async def _ready(self, request: web.Request) -> web.Response:
        checks = await self._readiness.checks()
        failing = [name for name, problem in checks.items() if problem is not None]
        body: dict[str, object] = {"ready": not failing, "failing": failing}
        credential = request.get(CREDENTIAL)
        if credential is not None and credential.allows(_STATUS_SCOPE):
            body["checks"] = dict(checks)
            body["remarks"] = dict(self._facts.remarks())
        return json_response(body, status=503 if failing else 200)

    async def _health(self, _request: web.Request) -> web.Response:
        checks = await self._readiness.checks()
        ready = all(problem is None for problem in checks.values())
        remarks = dict(self._facts.remarks())
        body = {
            "status": "ok" if ready and not remarks else "degraded",
            "ready": ready,
            "remarks": remarks,
            "checked_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "checks": {
                name: {"health": "unhealthy" if problem else "healthy", "last_error": problem}
                for name, problem in checks.items()
            },
        }
        return json_response(body, status=200 if ready else 503)

    async def _status(self, _request: web.Request) -> web.Response:
        return json_response(await self._facts.status())

    async def _messages(self, request: web.Request) -> web.Response:
        limit = limit_of(request, usual=_USUAL_MESSAGES, most=_MOST_MESSAGES)
        return json_response({"messages": list(await self._facts.messages(limit))})

    async def _explain(self, request: web.Request) -> web.Response:
        return json_response(await self._facts.explain(request.match_info["name"]))

    async def _send(self, request: web.Request) -> web.Response:
        outgoing = await bodies.read(request, Outgoing)
        for name in Outgoing.__struct_fields__:
            if not getattr(outgoing, name).strip():
                raise BadField(f"{name} is empty; say something.", code="INVALID_FIELD", field=name)
        message_id = await self._facts.send(outgoing.channel, outgoing.recipient, outgoing.message)
        return json_response({"status": "ok", "message_id": str(message_id)})


def limit_of(request: web.Request, *, usual: int, most: int) -> int:
    """The `limit` of a query. Raises `BadField` for one that is no number from 1 to `most`."""
    text = request.query.get("limit")
    if text is None:
        return usual
    # isdigit alone would let digits of other scripts through.
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 0 < int(text) <= most):
        raise BadField(f"limit is a number from 1 to {most}.", code="INVALID_FIELD", field="limit")
    return int(text)
