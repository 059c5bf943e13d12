"""What every request passes before a handler sees it, WebSocket upgrades included.

In this order: is it meant for us (Host), does a foreign page ask (Origin, or a type of body that
foreign pages can send), is it of a bearable size, who asks (token), may they (scope), is it JSON,
and is there room. Nothing is read from the body before all of that. Routes that are public, such as
webhooks, check for themselves who asks and what was sent, and have places of their own meanwhile.
Headers in which proxies claim to speak for somebody else are not looked at: a peer is the address
at the other end of its socket.

A WebSocket keeps the rights it was opened with. Today credentials change only with a restart; when
they can be revoked at run time, `sockets` is where the open ones have to be closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID, uuid4
from weakref import WeakSet

from aiohttp import hdrs, web

from opencraw.contract import Route
from opencraw.control.attempts import Attempts, network
from opencraw.control.bodies import LARGEST_BODY
from opencraw.control.calls import Call, Calls
from opencraw.control.connections import FENCE, Connection
from opencraw.control.credentials import Credential, Keyring
from opencraw.control.errors import (
    CODES,
    MissingScope,
    TooManyAttempts,
    from_status,
    problem,
)
from opencraw.control.origins import Origins
from opencraw.errors import Forbidden, QueueFull, Unauthorised
from opencraw.telemetry.logs import About
from opencraw.telemetry.seldom import Seldom

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

TOKEN_SUBPROTOCOL = "opencraw.token."  # noqa: S105 a prefix, not a token
CREDENTIAL = web.RequestKey("credential", Credential)
CORRELATION_ID = web.RequestKey("correlation_id", UUID)
_SAFE_METHODS = {hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS}
_PAGES_CAN_SEND = {"text/plain", "application/x-www-form-urlencoded", "multipart/form-data"}
#: In characters; a stranger may choose the path of a request.
_LONGEST_PATH = 120
_TOKEN_QUERIES = ("token", "access_token")
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Visit:
    """One request on its way through."""

    deadline: asyncio.Timeout
    has_slot: bool = False
    #: It comes without a credential, and has a place among its like.
    call: Call | None = None
    #: Its place was needed for another.
    ousted: bool = False
    #: The answer has begun; another one would only garble it.
    answered: bool = False


_VISIT = web.RequestKey("visit", _Visit)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long one request may take, and how many may be in work."""

    seconds: float
    in_flight: int


#: What a file comes as: its own type is a claim, and foreign pages cannot send this one.
_FILE = "application/octet-stream"
#: In bytes per second. Whoever sends a file may take longer than others.
_SLOWEST_FILE = 100_000
#: For as long may the body of a call without a credential be on its way.
_BODY_SECONDS = 10.0
#: So long such a call waits for a place, and looks so often.
_PLACE_SECONDS = 1.0
_LOOK_SECONDS = 0.02


class Guard:
    """The one way in."""

    def __init__(
        self,
        routes: Mapping[web.AbstractRoute, Route],
        origins: Origins,
        keyring: Keyring,
        limits: Limits,
    ) -> None:
        self._routes = routes
        self._origins = origins
        self._keyring = keyring
        self._limits = limits
        self._attempts = Attempts()
        self._refusals = Seldom()
        self._in_flight = 0
        self._calls = Calls(limits.in_flight)
        self.sockets: WeakSet[web.WebSocketResponse] = WeakSet()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let a request through to its handler, or answer it here."""
        request[CORRELATION_ID] = correlation_id = uuid4()
        visit = _Visit(asyncio.timeout(self._limits.seconds))
        request[_VISIT] = visit
        try:
            with _at_work(request):
                async with visit.deadline:
                    response = await self._pass(request, handler, visit)
        except Exception as failure:
            error = QueueFull(CODES["QUEUE_FULL"].meaning) if visit.ousted else failure
            if visit.answered:
                _record_broken_off(request, error)
                raise ConnectionError("the answer had begun") from failure
            _record_refusal(request, error, self._refusals)
            return problem(error).response(correlation_id)
        finally:
            self._leave(visit)
        if response.status >= 400 and response.content_type != "application/json":
            return from_status(response.status, response.headers).response(correlation_id)
        return response

    async def on_response_prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        """Fence in every answer. A WebSocket is not a request in work any more once it is open."""
        for name, value in FENCE.items():
            response.headers.setdefault(name, value)
        # Which version of what we are is nobody's business.
        response.headers.popall(hdrs.SERVER, None)
        visit = request.get(_VISIT)
        if visit is not None:
            visit.answered = True
            if isinstance(response, web.WebSocketResponse):
                self.sockets.add(response)
                self._leave(visit)
                if not visit.deadline.expired():
                    visit.deadline.reschedule(None)

    async def _pass(
        self, request: web.Request, handler: Handler, visit: _Visit
    ) -> web.StreamResponse:
        self._check_origin(request)
        route = self._routes.get(request.match_info.route)
        _check_size(request, route.largest_file if route is not None else 0)
        if route is None:
            if request.match_info.http_exception is None:
                raise Forbidden("This address is not in the table of routes.")
            return await handler(request)
        if not route.public:
            _refuse_foreign_types(request)
        credential = self._authenticate(request)
        if credential is not None:
            request[CREDENTIAL] = credential
        if not route.public:
            _authorise(credential, route.scope)
            _demand_type(request, _FILE if route.largest_file else "application/json")
            if route.largest_file and not visit.deadline.expired():
                seconds = self._limits.seconds + route.largest_file / _SLOWEST_FILE
                visit.deadline.reschedule(asyncio.get_running_loop().time() + seconds)
        if credential is None and request.method not in _SAFE_METHODS:
            await self._enter_call(request, visit)
        elif not route.public or request.method not in _SAFE_METHODS:
            self._enter(visit)
        if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return await handler(request)

    def _check_origin(self, request: web.Request) -> None:
        here = request.transport.get_extra_info("sockname") if request.transport else None
        if not self._origins.accepts_host(
            request.headers.getall(hdrs.HOST, ()), here[0] if here else ""
        ):
            raise Forbidden(CODES["HOST_NOT_ALLOWED"].meaning, code="HOST_NOT_ALLOWED")
        if not self._origins.accepts_origin(
            request.headers.getall(hdrs.ORIGIN, ()), request.headers[hdrs.HOST]
        ):
            raise Forbidden(CODES["ORIGIN_NOT_ALLOWED"].meaning, code="ORIGIN_NOT_ALLOWED")

    def _authenticate(self, request: web.Request) -> Credential | None:
        """Who calls, or None for a caller who does not say. A wrong token is never overlooked."""
        token = _presented_token(request)
        if token is None:
            return None
        # A page of ours with an old token must not lock out the programs beside it.
        place = (network(request.remote or ""), request.headers.get(hdrs.ORIGIN, ""))
        now = time.monotonic()
        credential = self._keyring.find(token)
        if credential is not None and credential.unguessable:
            # So the owner gets in however busily somebody else on this machine is guessing.
            return credential
        if locked_for := self._attempts.locked_for(place, now):
            raise TooManyAttempts(locked_for)
        if credential is None:
            if self._attempts.failed(place, now):
                _log.warning("%s showed too many wrong tokens and is locked out", place[0])
            raise Unauthorised(CODES["invalid_bearer_token"].meaning, code="invalid_bearer_token")
        return credential

    def _enter(self, visit: _Visit) -> None:
        if self._in_flight >= self._limits.in_flight:
            raise QueueFull(CODES["QUEUE_FULL"].meaning)
        self._in_flight += 1
        visit.has_slot = True

    async def _enter_call(self, request: web.Request, visit: _Visit) -> None:
        loop = asyncio.get_running_loop()
        until = visit.deadline.when()
        assert until is not None, "every visit has an end"

        def allow(moment: float) -> None:
            if not visit.deadline.expired():
                visit.deadline.reschedule(moment)

        def give_up() -> None:
            visit.ousted = True
            allow(loop.time())

        def arrived() -> None:
            # Otherwise it is over, and the rest of a body comes that nobody waited for.
            if visit.call is call:
                self._calls.arrived(call)
                allow(until)

        call = Call(network(request.remote or ""), give_up)
        whole = request.content.is_eof()
        await self._have_place(call, whole=whole)
        visit.call = call
        if not whole:
            allow(min(until, loop.time() + _BODY_SECONDS))
            request.content.on_eof(arrived)

    async def _have_place(self, call: Call, *, whole: bool) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + _PLACE_SECONDS
        while True:
            try:
                self._calls.enter(call, whole=whole)
            except QueueFull:
                if loop.time() > until:
                    raise
                await asyncio.sleep(_LOOK_SECONDS)
            else:
                return

    def _leave(self, visit: _Visit) -> None:
        if visit.call is not None:
            self._calls.leave(visit.call)
            visit.call = None
        if visit.has_slot:
            visit.has_slot = False
            self._in_flight -= 1


def _authorise(credential: Credential | None, scope: str) -> None:
    if credential is None:
        raise Unauthorised(CODES["missing_bearer_token"].meaning, code="missing_bearer_token")
    if not credential.allows(scope):
        raise MissingScope(scope)


def _presented_token(request: web.Request) -> str | None:
    if any(name in request.query for name in _TOKEN_QUERIES):
        raise Unauthorised(
            "Addresses end up in logs and histories: a token in one is not accepted. Send it as "
            "`Authorization: Bearer <token>`.",
            code="invalid_bearer_token",
        )
    tokens = []
    for value in request.headers.getall(hdrs.AUTHORIZATION, ()):
        scheme, _, token = value.partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthorised(CODES["missing_bearer_token"].meaning, code="missing_bearer_token")
        tokens.append(token.strip())
    if request.headers.get(hdrs.UPGRADE, "").lower() == "websocket":
        offered = ",".join(request.headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, ())).split(",")
        tokens += [
            name.strip().removeprefix(TOKEN_SUBPROTOCOL)
            for name in offered
            if name.strip().startswith(TOKEN_SUBPROTOCOL)
        ]
    if len(tokens) > 1:
        raise Unauthorised("Send one token, not several.", code="invalid_bearer_token")
    return tokens[0] if tokens else None


def _check_size(request: web.Request, largest_file: int) -> None:
    largest = max(LARGEST_BODY, largest_file)
    if (request.content_length or 0) > largest:
        raise web.HTTPRequestEntityTooLarge(largest)
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise web.HTTPUnsupportedMediaType


def _refuse_foreign_types(request: web.Request) -> None:
    """Foreign pages can make browsers post forms and plain text to us, but not JSON."""
    if request.method not in _SAFE_METHODS and request.content_type in _PAGES_CAN_SEND:
        raise web.HTTPUnsupportedMediaType


def _demand_type(request: web.Request, wanted: str) -> None:
    if request.body_exists and request.content_type != wanted:
        raise web.HTTPUnsupportedMediaType


@contextlib.contextmanager
def _at_work(request: web.Request) -> Iterator[None]:
    """Keep the connection from being closed for a newcomer."""
    connection = request.protocol
    assert isinstance(connection, Connection)
    connection.busy()
    try:
        yield
    finally:
        connection.done()


def _record_refusal(request: web.Request, error: Exception, refusals: Seldom) -> None:
    about = About(correlation_id=str(request[CORRELATION_ID]))
    code = problem(error).code
    if code == "INTERNAL_ERROR":
        _log.error("%s failed", _what(request), exc_info=error, extra=about)
    elif isinstance(error, Unauthorised | Forbidden | TooManyAttempts) and refusals.may_be_told():
        _log.info("%s refused: %s%s", _what(request), code, refusals.untold(), extra=about)


def _record_broken_off(request: web.Request, error: Exception) -> None:
    if not isinstance(error, ConnectionError):  # which is how people leave
        about = About(correlation_id=str(request[CORRELATION_ID]))
        _log.error("%s broke off", _what(request), exc_info=error, extra=about)


def _what(request: web.Request) -> str:
    path = request.rel_url.raw_path
    shown = path if len(path) <= _LONGEST_PATH else f"{path[:_LONGEST_PATH]}…"
    return f"{request.method} {shown}"
