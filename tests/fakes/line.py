"""A TCP line between two parties that can be cut, and can go dead without a word."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Self


class Line:
    """Leads to `port` on this machine. Use as `async with`."""

    def __init__(self, port: int) -> None:
        self._to = port
        self.cut = False
        self.dead = False
        #: What the other end must have been sent once, and whether it was.
        self.watched_for = b""
        self.passed = asyncio.Event()
        #: What the other end says when something is new, and when it said so.
        self.listened_for = b""
        self.told_at: list[float] = []
        #: Whoever says this is cut off.
        self.breaks_at = b""
        #: All that the other end was sent.
        self.asked = bytearray()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._lead, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.break_all()

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def break_all(self) -> None:
        """Break every connection."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.cut:
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
        ends = {writer, far_writer}
        self._writers |= ends
        there = asyncio.create_task(self._pass(reader, far_writer, watched=True))
        back = asyncio.create_task(self._pass(far_reader, writer))
        try:
            await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.transport.abort()
            await asyncio.gather(there, back, return_exceptions=True)
            self._writers -= ends

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, watched: bool = False
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                if watched:
                    self.asked += data
                    if self.watched_for in data:
                        self.passed.set()
                    if self.breaks_at and self.breaks_at in data:
                        return
                if not watched and self.listened_for and self.listened_for in data:
                    self.told_at.append(time.monotonic())
                if not self.dead:
                    writer.write(data)
                    await writer.drain()
