"""The daemon's HTTP server: from open sockets to the last goodbye."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from aiohttp import WSCloseCode, web

from opencraw.contract import Route
from opencraw.control import ports
from opencraw.control.bodies import LARGEST_BODY
from opencraw.control.connections import Connection, Connections
from opencraw.control.credentials import EVERYTHING, Credential, Keyring
from opencraw.control.guard import Guard, Limits
from opencraw.control.origins import Origins
from opencraw.control.settings import RuntimeSettings, SecuritySettings
from opencraw.errors import CannotStart

#: How long requests may go on when the daemon stops; whoever asked can ask again.
_LAST_REQUESTS_SECONDS = 5.0
#: How long somebody may take to answer our goodbye.
_GOODBYE_SECONDS = 2.0
_log = logging.getLogger(__name__)


class HttpServer:
    """Serves a fixed set of routes until it is stopped."""

    def __init__(
        self,
        runtime: RuntimeSettings,
        security: SecuritySettings,
        *,
        port: int,
        routes: Sequence[Route],
        token: str,
        connections: Connections | None = None,
    ) -> None:
        self._runtime = runtime
        self._security = security
        self._port = runtime.port(port)
        self._routes = routes
        self._token = token
        self._connections = Connections() if connections is None else connections
        self._runner: web.AppRunner | None = None
        self._listening: list[asyncio.Server] = []

    @property
    def port(self) -> int:
        """The port in use; before `start`, the one that was asked for."""
        return self._port

    @property
    def base_url(self) -> str:
        """Where somebody on this machine finds the server."""
        address = self._runtime.addresses()[0]
        if address in ("0.0.0.0", "::"):  # noqa: S104 compared, not bound
            address = "127.0.0.1"
        return (
            f"http://[{address}]:{self._port}"
            if ":" in address
            else f"http://{address}:{self._port}"
        )

    async def start(self) -> None:
        """Return when requests are answered. Raises `CannotStart`."""
        self._refuse_to_be_open()
        sockets = ports.listen(self._runtime.addresses(), self._port)
        try:
            self._port = sockets[0].getsockname()[1]
            patience = min(_LAST_REQUESTS_SECONDS, self._runtime.http_timeout_seconds)
            self._runner = runner = web.AppRunner(self._application(), shutdown_timeout=patience)
            await runner.setup()
            server = runner.server
            assert server is not None
            loop = asyncio.get_running_loop()
            while sockets:
                self._listening.append(
                    await loop.create_server(
                        lambda: Connection(server, self._connections), sock=sockets[0]
                    )
                )
                sockets.pop(0)
        finally:
            for unused in sockets:
                unused.close()
        _log.info("Listening on %s", self.base_url)

    def close(self) -> None:
        """Take no more connections; those that are there go on."""
        for listening in self._listening:
            listening.close()
        self._listening.clear()

    async def stop(self) -> None:
        """Take no more connections, let requests finish, close WebSockets with 1012."""
        self.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    def _refuse_to_be_open(self) -> None:
        runtime = self._runtime
        if not runtime.public or self._security.has_keys or runtime.allow_public_bind_without_auth:
            return
        raise CannotStart(
            f"Other machines could reach the daemon (runtime.bind_mode = {runtime.bind_mode!r}), "
            "yet no control key is configured. Fix: set security.control_api_key, or go back to "
            'runtime.bind_mode = "loopback".'
        )

    def _application(self) -> web.Application:
        table: dict[web.AbstractRoute, Route] = {}
        origins = Origins(
            self._port,
            [address for address in self._runtime.addresses() if address not in ("0.0.0.0", "::")],  # noqa: S104
            self._security.allowed_hosts,
            self._security.allowed_origins,
        )
        limits = Limits(self._runtime.http_timeout_seconds, self._runtime.http_max_in_flight)
        guard = Guard(table, origins, self._keyring(), limits)
        application = web.Application(middlewares=[guard.middleware], client_max_size=LARGEST_BODY)
        for route in self._routes:
            # Whoever may look may also ask whether there is something to see.
            methods = ("GET", "HEAD") if route.method == "GET" else (route.method,)
            try:
                for method in methods:
                    mounted = application.router.add_route(
                        method, route.path, route.handler, expect_handler=_promise_nothing
                    )
                    table[mounted] = route
            except (ValueError, RuntimeError) as error:
                raise CannotStart(
                    f"The route {route.method} {route.path} cannot be served: {error}. Fix: two "
                    "enabled channels may want the same address; disable one."
                ) from error
        application.on_response_prepare.append(guard.on_response_prepare)
        application.on_shutdown.append(lambda _: _close_all(list(guard.sockets)))
        return application

    def _keyring(self) -> Keyring:
        keys = [(self._token, Credential("access token", EVERYTHING, unguessable=True))]
        if self._security.control_api_key is not None:
            single = self._security.control_api_key.get_secret_value()
            keys.append((single, Credential("control_api_key", EVERYTHING)))
        for number, key in enumerate(self._security.control_api_keys, start=1):
            name = key.description or f"control_api_keys #{number}"
            credential = Credential(name, frozenset(key.scopes))
            keys.append((key.token.get_secret_value(), credential))
        return Keyring(keys)


async def _promise_nothing(_request: web.Request) -> None:
    """A client that waits for `100 Continue` hears it from the guard, once it may continue."""


async def _close_all(sockets: Sequence[web.WebSocketResponse]) -> None:
    async def close(socket: web.WebSocketResponse) -> None:
        try:
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await socket.close(
                    code=WSCloseCode.SERVICE_RESTART, message=b"the daemon is stopping"
                )
        except (TimeoutError, ConnectionError):
            pass  # it will notice by itself

    await asyncio.gather(*(close(socket) for socket in sockets))
