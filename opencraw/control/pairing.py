"""Routes to who may talk: who asks to be let in, and what an owner says to that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from aiohttp import web

from opencraw.access.pairing import Request, Word
from opencraw.contract import Rights, Route
from opencraw.control import bodies
from opencraw.control.api import PREFIX
from opencraw.control.errors import BadField, json_response
from opencraw.control.guard import CREDENTIAL
from opencraw.gateway.strangers import Strangers

_READ, _WRITE = "pairing:read", "pairing:write"


class Approve(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `pairing/approve`."""

    code: str
    rights: Rights = Rights.GUEST
    note: str = ""


class Reject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `pairing/reject`."""

    code: str
    note: str = ""


class Revoke(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `pairing/revoke`: a person, with one of our accounts or with all."""

    channel: str
    sender: str
    account: str | None = None


class PairingApi:
    """The handlers."""

    def __init__(self, strangers: Strangers) -> None:
        self._strangers = strangers

    def routes(self) -> Sequence[Route]:
        """The routes to mount."""
        path = f"{PREFIX}/pairing"
        return (
            Route("GET", path, self._list, scope=_READ),
            Route("POST", f"{path}/approve", self._approve, scope=_WRITE),
            Route("POST", f"{path}/reject", self._reject, scope=_WRITE),
            Route("POST", f"{path}/revoke", self._revoke, scope=_WRITE),
        )

    async def _list(self, _request: web.Request) -> web.Response:
        requests = await self._strangers.requests()
        return json_response({"requests": [as_json(each) for each in requests]})

    async def _approve(self, request: web.Request) -> web.Response:
        asked = await bodies.read(request, Approve)
        return await self._resolved(request, asked.code, asked.rights, asked.note)

    async def _reject(self, request: web.Request) -> web.Response:
        asked = await bodies.read(request, Reject)
        return await self._resolved(request, asked.code, None, asked.note)

    async def _resolved(
        self, request: web.Request, code: str, rights: Rights | None, note: str
    ) -> web.Response:
        resolved = await self._strangers.resolve(code, Word(_who(request), rights, note))
        has_owner = await self._strangers.has_owner(resolved.channel, resolved.account)
        return json_response(
            {"status": resolved.state, "request": as_json(resolved), "has_owner": has_owner}
        )

    async def _revoke(self, request: web.Request) -> web.Response:
        asked = await bodies.read(request, Revoke)
        if not asked.channel.strip():
            raise BadField("channel is missing; name it.", code="MISSING_FIELD", field="channel")
        by = _who(request)
        count = await self._strangers.revoke(asked.channel, asked.sender, asked.account, by)
        return json_response({"status": "revoked", "revoked": count})


def as_json(request: Request) -> Mapping[str, object]:
    """A request as programs get it. Of an open one only the code lets anybody in."""
    return {
        "id": str(request.id),
        "channel_id": request.channel,
        "account": request.account,
        "sender_id": request.sender_id,
        "sender_name": request.sender_name,
        "code": request.code,
        "status": request.state,
        "rights": request.rights if request.state == "approved" else None,
        "requested_at": _moment(request.requested_at),
        "expires_at": _moment(request.expires_at),
        "resolved_at": _moment(request.resolved_at),
        "resolved_by": request.resolved_by,
        "resolution_note": request.note,
    }


def _who(request: web.Request) -> str:
    """Who decides, by the name of the credential."""
    return f"credential {request[CREDENTIAL].name}"


def _moment(at: datetime | None) -> str | None:
    return at.isoformat() if at is not None else None
