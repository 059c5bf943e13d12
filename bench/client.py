"""A WebSocket client that says something and times what comes back."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Self
from uuid import uuid4

import aiohttp
import orjson


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds from the send to the first delta and to the whole answer."""

    first_delta: float
    answer: float
    deltas: int


class Client:
    """One conversation over one socket."""

    def __init__(self, url: str, token: str, chat: str) -> None:
        self._url = f"{url}?chat={chat}"
        self._headers = {"Authorization": f"Bearer {token}"}
        self._said = 0
        self._name = uuid4().hex

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        self._socket = await self._session.ws_connect(
            self._url, headers=self._headers, max_msg_size=0
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._socket.close()
        await self._session.close()

    async def send(self, text: str) -> None:
        """Send a message; nobody waits for anything."""
        self._said += 1
        message_id = f"{self._name}{self._said}"
        message = {"type": "message", "content": text, "client_message_id": message_id}
        await self._socket.send_str(orjson.dumps(message).decode())

    async def acknowledged(self) -> None:
        """Wait until one message more is durable."""
        while not (await self._frame()).startswith('{"type":"ack"'):
            pass

    async def answer(self, began: float | None = None) -> Timing:
        """Wait for the next whole answer, timed from `began` or from now."""
        began = time.perf_counter() if began is None else began
        first, deltas = 0.0, 0
        while True:
            frame = await self._frame()
            if frame.startswith('{"type":"delta"'):
                deltas += 1
                first = first or time.perf_counter() - began
            elif frame.startswith('{"type":"message"'):
                if '"kind":"notice"' in frame:
                    raise RuntimeError(frame)
                return Timing(first, time.perf_counter() - began, deltas)

    async def say(self, text: str) -> Timing:
        """Send a message and wait for its whole answer."""
        began = time.perf_counter()
        await self.send(text)
        return await self.answer(began)

    async def _frame(self) -> str:
        frame = await self._socket.receive_str()
        if frame.startswith('{"type":"error"'):
            raise RuntimeError(frame)
        return frame
