"""Who is connected. When there are too many, those who ask for nothing leave, the oldest first.

Somebody who opens connections and stays silent, or sends headers a byte at a time, holds places
only until others need them: a newcomer that speaks is always let in. Connections on which a request
is in work (a WebSocket is one long request) are never closed for a newcomer.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from collections import OrderedDict
from uuid import uuid4

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger
from aiohttp.http_exceptions import LineTooLong

from opencraw.control.errors import Problem

#: A request's headers must be there after so many seconds, and so does the next request.
PATIENCE_SECONDS = 10.0
#: How long the rest of a body that nobody wants may still arrive after its answer.
_LINGERING_SECONDS = 2.0
_MOST_HEADERS = 100
_LONGEST_HEADER = 8190
#: What a browser may do with an answer unless the handler knows better: nothing.
FENCE = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_log = logging.getLogger(__name__)


class Connections:
    """All connections of one server."""

    def __init__(self, most: int | None = None, patience: float = PATIENCE_SECONDS) -> None:
        self._most = most or _places()
        self.patience = patience
        self._all: set[Connection] = set()
        self._idle: OrderedDict[Connection, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._all)

    def opened(self, connection: Connection) -> bool:
        """Make room for a newcomer. False when everybody is at work and it cannot stay."""
        if len(self._all) >= self._most:
            if not self._idle:
                return False
            oldest, _ = self._idle.popitem(last=False)
            self._all.discard(oldest)
            oldest.abort()
        self._all.add(connection)
        self._idle[connection] = None
        return True

    def busy(self, connection: Connection) -> None:
        """A request is in work."""
        self._idle.pop(connection, None)

    def idle(self, connection: Connection) -> None:
        """The request is answered."""
        if connection in self._all:
            self._idle[connection] = None

    def closed(self, connection: Connection) -> None:
        """It is gone."""
        self._all.discard(connection)
        self._idle.pop(connection, None)


class Connection(web.RequestHandler):
    """One connection: aiohttp's, with manners towards strangers."""

    __slots__ = ("_connections",)

    def __init__(self, server: web.Server, connections: Connections) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=connections.patience,
            lingering_time=_LINGERING_SECONDS,
            max_headers=_MOST_HEADERS,
            max_line_size=_LONGEST_HEADER,
            max_field_size=_LONGEST_HEADER,
            # A few kilobytes could become gigabytes; the guard refuses compressed bodies.
            auto_decompress=False,
            access_log_class=AccessLog,
        )
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if not self._connections.opened(self):
            self.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._connections.closed(self)
        super().connection_lost(exc)

    def busy(self) -> None:
        """A request has arrived whole."""
        self._connections.busy(self)

    def done(self) -> None:
        """Its handler has ended."""
        self._connections.idle(self)

    def abort(self) -> None:
        """Close at once; what was not written yet is lost."""
        if self.transport is not None:
            self.transport.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is not HTTP at all: no route, no guard, but the same envelope."""
        if request.writer.output_size > 0:
            # The answer is on its way already; all that is left is to break off.
            raise ConnectionError("the answer had begun")
        if status >= 500:
            _log.error("A request failed outside every handler", exc_info=exc)
        else:
            _log.debug("Not HTTP: %s", type(exc).__name__)
        code = "INVALID_REQUEST" if status < 500 else "INTERNAL_ERROR"
        if isinstance(exc, LineTooLong) or "Too many headers" in (message or ""):
            code = "HEADERS_TOO_LARGE"
        response = Problem(code).response(uuid4())
        # No route, hence no signal: what the guard does with every other answer is done here.
        response.headers.update(FENCE, Server="OpenCraw")
        response.force_close()
        return response


class AccessLog(AbstractAccessLogger):
    """One line per request, for those who debug. Query strings are left out."""

    @property
    def enabled(self) -> bool:
        """Whether anybody would see the line."""
        return self.logger.isEnabledFor(logging.DEBUG)

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Write the line. The path stays percent-encoded: it cannot forge another line."""
        path, milliseconds = request.rel_url.raw_path, time * 1000
        self.logger.debug(
            "%s %s %d in %.1f ms", request.method, path, response.status, milliseconds
        )


def _places() -> int:
    """Half of the files this process may open; the rest is for the database and the world."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(4096, soft // 2) if soft > 0 else 4096
