"""Routes about deliveries: what is on its way, what could not be delivered, and what to do then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, cast, get_args
from uuid import UUID

from aiohttp import web

from opencraw.contract import Route
from opencraw.control.api import PREFIX, limit_of
from opencraw.control.errors import BadField, json_response
from opencraw.outbox.deliveries import Which

_READ, _WRITE = "messages:read", "messages:write"
_MOST = 500
_USUAL = 50


class DeliveriesFacts(Protocol):
    """What the routes may ask of the daemon; see `opencraw.outbox.deliveries.Deliveries`."""

    async def listed(
        self, which: Which, channel: str | None, limit: int
    ) -> Sequence[Mapping[str, object]]: ...

    async def retry(self, name: str) -> UUID: ...

    async def drop(self, name: str) -> UUID: ...


class DeliveriesApi:
    """The handlers."""

    def __init__(self, deliveries: DeliveriesFacts) -> None:
        self._deliveries = deliveries

    def routes(self) -> Sequence[Route]:
        """The routes to mount."""
        base = f"{PREFIX}/deliveries"
        return (
            Route("GET", base, self._list, scope=_READ),
            Route("POST", f"{base}/{{name}}/retry", self._retry, scope=_WRITE),
            Route("POST", f"{base}/{{name}}/drop", self._drop, scope=_WRITE),
        )

    async def _list(self, request: web.Request) -> web.Response:
        which = request.query.get("state", "dead")
        if which not in get_args(Which):
            known = ", ".join(get_args(Which))
            raise BadField(f"state is one of {known}.", code="INVALID_FIELD", field="state")
        limit = limit_of(request, usual=_USUAL, most=_MOST)
        channel = request.query.get("channel")
        found = await self._deliveries.listed(cast("Which", which), channel, limit)
        return json_response({"deliveries": [_as_json(each) for each in found]})

    async def _retry(self, request: web.Request) -> web.Response:
        delivery = await self._deliveries.retry(request.match_info["name"])
        return json_response({"status": "ok", "delivery_id": str(delivery)})

    async def _drop(self, request: web.Request) -> web.Response:
        delivery = await self._deliveries.drop(request.match_info["name"])
        return json_response({"status": "ok", "delivery_id": str(delivery)})


def _as_json(delivery: Mapping[str, object]) -> Mapping[str, object]:
    turn = delivery["turn_id"]
    return {
        **delivery,
        "delivery_id": str(delivery["delivery_id"]),
        "turn_id": None if turn is None else str(turn),
    }
