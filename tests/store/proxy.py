"""Stands between a client and Postgres and breaks the line on demand."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, quote, urlsplit

_SOCKET = ".s.PGSQL.5432"


class Proxy:
    """`cut_at_next_answer` loses one answer and the connection.

    While `flowing` is cleared nothing passes, and nobody is told.
    """

    def __init__(self, folder: Path, server_folder: Path) -> None:
        self.cut_at_next_answer = False
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.cuts = 0
        self._folder = folder
        self._server = server_folder / _SOCKET
        self._ways: set[asyncio.Task[None]] = set()

    def url_of(self, url: str) -> str:
        """The same database, through this proxy."""
        return f"{url.partition('?')[0]}?host={quote(str(self._folder), safe='')}"

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_unix_server(self._serve, self._folder / _SOCKET)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()
        for way in self._ways:
            way.cancel()
        await asyncio.gather(*self._ways, return_exceptions=True)

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_unix_connection(self._server)
        up = asyncio.create_task(self._pump(client, to_server, is_answer=False))
        down = asyncio.create_task(self._pump(server, to_client, is_answer=True))
        self._ways |= {up, down}
        try:
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            to_client.transport.abort()
            to_server.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65536):
                await self.flowing.wait()
                # A statement that ran completely ends in ReadyForQuery outside a transaction.
                if is_answer and self.cut_at_next_answer and chunk.endswith(b"Z\0\0\0\5I"):
                    self.cut_at_next_answer = False
                    self.cuts += 1
                    return
                writer.write(chunk)
                await writer.drain()


def socket_folder(url: str) -> Path:
    """Where the server of a URL listens."""
    return Path(parse_qs(urlsplit(url).query)["host"][0])
