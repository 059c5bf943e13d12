"""What turns do with their connections to a model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from opencraw.providers import open_provider
from opencraw.providers.settings import Profile
from tests.fixtures.core import running

_ANSWER = (
    b'data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":'
    b'[{"index":0,"delta":{"role":"assistant","content":"hello"},"finish_reason":null}]}\n\n'
    b'data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":'
    b'[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@asynccontextmanager
async def a_model(connections: list[object]) -> AsyncIterator[int]:
    """A server that ends its answers a moment after their end marker, as servers do."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        while head := await _request(reader):
            await reader.readexactly(_length(head))
            writer.write(_HEAD + b"%x\r\n%s\r\n" % (len(_ANSWER), _ANSWER))
            await writer.drain()
            await asyncio.sleep(0.005)
            writer.write(b"0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def _request(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


def _length(head: bytes) -> int:
    [line] = [each for each in head.lower().split(b"\r\n") if each.startswith(b"content-length")]
    return int(line.partition(b":")[2])


async def test_one_conversation_after_another_uses_the_same_connection(database_url: str) -> None:
    connections: list[object] = []
    async with a_model(connections) as port:
        profile = Profile(provider="openai", model="m", base_url=f"http://127.0.0.1:{port}/v1")
        provider = open_provider(profile, None)
        async with running(database_url, provider=provider) as core:
            for number in range(1, 6):
                await core.say(f"message {number}")
                assert (await core.delivered(number))[-1] == "hello"
        await provider.close()
    assert len(connections) == 1
