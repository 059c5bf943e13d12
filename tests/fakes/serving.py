"""An outside service on a port of its own, with a ledger of what it saw."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from aiohttp import web

from tests.fakes.ledger import Ledger


class Service:
    """Use as `async with`; routes are added to `app` before."""

    def __init__(self, port: int, ledger: Path | None) -> None:
        self.port = port
        self.app = web.Application(client_max_size=64 * 1024**2)
        self._ledger = Ledger(ledger)
        # A client that hangs up ends its handler, so that the ledger can tell.
        self._runner = web.AppRunner(
            self.app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        self._ledger.close()
