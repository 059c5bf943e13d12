"""Stands between clients and a server, over TCP or a Unix socket, and breaks the line on demand.

    async with Proxy(("127.0.0.1", 5432)) as proxy:
        proxy.hold("down")    # the server hears everything, and nobody hears the server
        proxy.release()

`up` is the way from a client to the server, `down` the way back. All faults may be changed while
connections are open, and apply to those.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Coroutine
from pathlib import Path
from typing import Literal, Self
from urllib.parse import parse_qs, quote, urlsplit

Way = Literal["up", "down"]
#: A port of a host, or a Unix socket.
Place = tuple[str, int] | Path

_SOCKET = ".s.PGSQL.5432"
_CHUNK = 65536
#: A slow line gives its bytes in so small pieces that it is slow for short messages too.
_SLOW_CHUNK = 256
_RESET = struct.pack("ii", 1, 0)


class Proxy:
    """Passes everything on, until it is told otherwise."""

    def __init__(self, server: Place, listen: Place = ("127.0.0.1", 0)) -> None:
        #: Seconds that an answer takes longer.
        self.delay = 0.0
        #: How fast a line is, each way; 0 is as fast as it can.
        self.bytes_per_second = 0.0
        #: Whoever connects is reset at once.
        self.refusing = False
        #: A connection is reset instead of passing its n-th byte on this way.
        self.cut_after: dict[Way, int] = {}
        #: How many connections were reset by `cut_after`, or by a subclass.
        self.cuts = 0
        self._server = server
        self._listen = listen
        self._flowing: dict[Way, asyncio.Event] = {"up": asyncio.Event(), "down": asyncio.Event()}
        self._lines: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}
        self.release()

    @property
    def port(self) -> int:
        """Where it listens, when that is a port."""
        port: int = self._listener.sockets[0].getsockname()[1]
        return port

    def hold(self, *ways: Way) -> None:
        """Let nothing pass on these ways, or on any, and tell nobody: a black hole."""
        for way in ways or self._flowing:
            self._flowing[way].clear()

    def release(self) -> None:
        """Let everything pass again, what was held first."""
        for flowing in self._flowing.values():
            flowing.set()

    def cut(self) -> None:
        """Reset all connections that are open now."""
        for line in [*self._lines]:
            line.cancel()

    async def __aenter__(self) -> Self:
        if isinstance(self._listen, Path):
            self._listener = await asyncio.start_unix_server(self._serve, self._listen)
        else:
            self._listener = await asyncio.start_server(self._serve, *self._listen)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()
        lines = [*self._lines]
        self.cut()
        await asyncio.gather(*lines, return_exceptions=True)

    def cuts_here(self, way: Way, chunk: bytes, passed: int) -> bool:
        """Whether the line breaks instead of passing `chunk`, after `passed` bytes before it."""
        return passed + len(chunk) > self.cut_after.get(way, passed + len(chunk))

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        if self.refusing:
            _reset(to_client)
            return
        line = asyncio.current_task()
        assert line is not None
        ends = self._lines[line] = [to_client]
        whole = False
        try:
            server, to_server = await self._dial()
            ends.append(to_server)
            whole = await self._until_one_leaves(
                self._pump("up", client, to_server), self._pump("down", server, to_client)
            )
        except (OSError, asyncio.CancelledError):
            # The server is not there, or the line is cut; either way both ends hear of it below.
            pass
        finally:
            for end in self._lines.pop(line):
                end.close() if whole else _reset(end)

    async def _until_one_leaves(self, *pumps: Coroutine[None, None, bool]) -> bool:
        """Pass bytes until a side closes; False when the line broke instead."""
        ways = [asyncio.ensure_future(pump) for pump in pumps]
        try:
            ended, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            return all(way.result() for way in ended)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.wait(ways)

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._server, Path):
            return await asyncio.open_unix_connection(self._server)
        return await asyncio.open_connection(*self._server)

    async def _pump(
        self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        passed = 0
        with contextlib.suppress(OSError):
            while chunk := await reader.read(_SLOW_CHUNK if self.bytes_per_second else _CHUNK):
                if way == "down":
                    await asyncio.sleep(self.delay)
                if self.bytes_per_second:
                    await asyncio.sleep(len(chunk) / self.bytes_per_second)
                await self._flowing[way].wait()
                if self.cuts_here(way, chunk, passed):
                    self.cuts += 1
                    return False
                writer.write(chunk)
                await writer.drain()
                passed += len(chunk)
            return True
        return False


class PostgresProxy(Proxy):
    """A line to Postgres. `cut_at_next_answer` loses one answer and the connection, once."""

    def __init__(self, server: Path, listen: Place = ("127.0.0.1", 0)) -> None:
        """`server` and `listen` are the folders of the sockets, as clients are told them."""
        super().__init__(server / _SOCKET, listen / _SOCKET if isinstance(listen, Path) else listen)
        self._place = listen
        self.cut_at_next_answer = False

    def url_of(self, url: str) -> str:
        """The same database, through this proxy."""
        if isinstance(self._place, Path):
            return f"{url.partition('?')[0]}?host={quote(str(self._place), safe='')}"
        parts = urlsplit(url)
        user = parts.netloc.rpartition("@")[0]
        return f"postgresql://{user}@127.0.0.1:{self.port}{parts.path}"

    def cuts_here(self, way: Way, chunk: bytes, passed: int) -> bool:
        # A statement that ran completely ends in ReadyForQuery outside a transaction.
        if way == "down" and self.cut_at_next_answer and chunk.endswith(b"Z\0\0\0\5I"):
            self.cut_at_next_answer = False
            return True
        return super().cuts_here(way, chunk, passed)


def socket_folder(url: str) -> Path:
    """Where the server of a URL listens."""
    return Path(parse_qs(urlsplit(url).query)["host"][0])


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close without a goodbye: over TCP the other side is told by RST."""
    end = writer.get_extra_info("socket")
    if end is not None and end.family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
