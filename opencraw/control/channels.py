"""Routes about channels: how each fares, who we are there, and what nobody understood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from aiohttp import web

from opencraw.contract import Route
from opencraw.control.api import PREFIX, limit_of
from opencraw.control.errors import NotRegistered, json_response
from opencraw.errors import AccountRefused, NotFound, Unavailable

_READ = "control:read"
#: What people wrote may be in it.
_READ_MESSAGES = "messages:read"
_MOST_HAPPENINGS = 200
_MOST_PUT_ASIDE = 1_000
_USUAL_PUT_ASIDE = 20


class ChannelFacts(Protocol):
    """What the routes may ask of the daemon. All but the first raise `NotFound` for a channel that
    is not open."""

    def channels(self) -> Sequence[Mapping[str, object]]:
        """Every open channel, by name: its state, its numbers and what it can do."""
        ...

    def channel(self, name: str) -> Mapping[str, object]:
        """One of them."""
        ...

    async def probe(self, name: str) -> Mapping[str, str]:
        """What the platform says of our account. Raises `AccountRefused` and `Unavailable`."""
        ...

    def happenings(self, name: str, limit: int) -> Sequence[Mapping[str, object]]:
        """What happened to a channel lately, oldest first."""
        ...

    async def put_aside(self, name: str, limit: int) -> Sequence[Mapping[str, object]]:
        """The events that the channel did not understand, newest first."""
        ...


class ChannelsApi:
    """The handlers."""

    def __init__(self, facts: ChannelFacts) -> None:
        self._facts = facts

    def routes(self) -> Sequence[Route]:
        """The routes to mount."""
        base = f"{PREFIX}/channels"
        return (
            Route("GET", base, self._list, scope=_READ),
            Route("GET", f"{base}/{{name}}/probe", self._probe, scope=_READ),
            Route("GET", f"{base}/{{name}}/logs", self._logs, scope=_READ),
            Route("GET", f"{base}/{{name}}/quarantine", self._put_aside, scope=_READ_MESSAGES),
        )

    async def _list(self, _request: web.Request) -> web.Response:
        found = self._facts.channels()
        return json_response(
            {
                "channels": list(found),
                "capabilities": [{"channel_id": each["name"], **_able(each)} for each in found],
            }
        )

    async def _probe(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        try:
            known = self._facts.channel(name)
        except NotFound as error:
            raise NotRegistered(name, str(error)) from error
        account: Mapping[str, str] = {}
        problem = None
        try:
            account = await self._facts.probe(name)
        except (AccountRefused, Unavailable) as error:
            problem = str(error)
        body = {
            "channel_id": name,
            "registered": True,
            **_able(known),
            "ok": problem is None,
            "problem": problem,
            "account": dict(account),
            "state": known["state"],
            "detail": known["detail"],
        }
        return json_response(body)

    async def _logs(self, request: web.Request) -> web.Response:
        limit = limit_of(request, usual=_MOST_HAPPENINGS, most=_MOST_HAPPENINGS)
        found = self._facts.happenings(request.match_info["name"], limit)
        return json_response({"logs": list(found)})

    async def _put_aside(self, request: web.Request) -> web.Response:
        limit = limit_of(request, usual=_USUAL_PUT_ASIDE, most=_MOST_PUT_ASIDE)
        found = await self._facts.put_aside(request.match_info["name"], limit)
        return json_response({"quarantined": list(found)})


def _able(channel: Mapping[str, object]) -> Mapping[str, object]:
    able = channel["capabilities"]
    assert isinstance(able, Mapping)
    return able
