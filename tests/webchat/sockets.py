"""A conversation, and sockets that listen to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from aiohttp import WSMsgType

from channels.webchat.conversation import Conversation, Listener
from channels.webchat.outgoing import Outgoing
from tests.webchat.memory_gateway import MAIN, MemoryGateway


class Socket:
    """A socket that reads at once and remembers."""

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self.outgoing = Outgoing(conversation.snapshot)
        self.listener = Listener(self.outgoing)
        self.frames: list[dict[str, object]] = []
        self.writing = asyncio.create_task(self.outgoing.write_to(self._send))

    async def _send(self, frame: bytes, kind: WSMsgType) -> None:
        self.frames.append(json.loads(frame))

    async def open(self) -> Socket:
        await self.conversation.join(self.listener)
        return self

    def close(self) -> None:
        self.conversation.leave(self.listener)
        self.outgoing.end(1000)
        self.writing.cancel()

    def of(self, *types: str) -> list[dict[str, object]]:
        return [frame for frame in self.frames if frame["type"] in types]

    def lines(self) -> list[int]:
        return [int(str(frame["seq"])) for frame in self.of("said", "message")]


async def html(message_id: UUID, text: str, by: float) -> str:
    await asyncio.sleep(0)
    return text


async def settle() -> None:
    for _ in range(60):
        await asyncio.sleep(0)


@asynccontextmanager
async def talk(gateway: MemoryGateway) -> AsyncIterator[Conversation]:
    conversation = Conversation(MAIN, gateway, html)
    following = asyncio.create_task(conversation.follow())
    try:
        yield conversation
    finally:
        following.cancel()
