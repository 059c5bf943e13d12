from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from opencraw.control.connections import Connections
from tests.control.serving import BEARER, Served, serving

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def dial(served: Served, stack: AsyncExitStack, first: bytes = b"") -> Streams:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.server.port)

    async def hang_up() -> None:
        writer.transport.abort()

    stack.push_async_callback(hang_up)
    writer.write(first)
    return reader, writer


async def test_a_crowd_of_silent_callers_keeps_nobody_out() -> None:
    connections = Connections(most=20)
    async with serving(connections=connections) as served, AsyncExitStack() as stack:
        opened = await served.client.ws_connect("/probe/echo", headers=BEARER)
        silent, _ = await dial(served, stack, b"GET / HTTP/1.1\r\nHost: ")
        for _ in range(200):
            await dial(served, stack, b"GET / HTTP/1.1\r\nHost: ")
        assert await hears_nothing(silent)
        for _ in range(5):
            async with served.client.get("/health") as response:
                assert response.status == 200
        # Who is at work keeps the place.
        await opened.send_str("still here")
        assert await opened.receive_str() == "still here"
        assert len(connections) <= 20


async def test_whoever_has_been_answered_leaves_for_a_newcomer() -> None:
    async with serving(connections=Connections(most=2)) as served, AsyncExitStack() as stack:
        request = f"GET /health HTTP/1.1\r\nHost: {served.authority}\r\n\r\n".encode()
        readers = []
        for _ in range(3):
            reader, _ = await dial(served, stack, request)
            await reader.readuntil(b'{"status":"ok"}')
            readers.append(reader)
        assert await hears_nothing(readers[0])


async def test_when_everybody_is_at_work_a_newcomer_is_turned_away() -> None:
    async with serving(connections=Connections(most=2)) as served, AsyncExitStack() as stack:
        opened = [await served.client.ws_connect("/probe/echo", headers=BEARER) for _ in range(2)]
        reader, _ = await dial(served, stack)
        assert await hears_nothing(reader)
        assert not any(socket.closed for socket in opened)


async def test_headers_a_byte_at_a_time_run_out_of_patience() -> None:
    async with serving(connections=Connections(patience=0.3)) as served, AsyncExitStack() as stack:
        reader, writer = await dial(served, stack, b"GET /health HTTP/1.1\r\nX: ")
        over = asyncio.create_task(hears_nothing(reader))
        started = asyncio.get_running_loop().time()
        while not over.done():
            writer.write(b"x")
            await asyncio.sleep(0.02)
        assert await over
        assert asyncio.get_running_loop().time() - started < 2


async def test_a_connection_that_asks_for_nothing_more_is_closed() -> None:
    async with serving(connections=Connections(patience=0.3)) as served, AsyncExitStack() as stack:
        request = f"GET /health HTTP/1.1\r\nHost: {served.authority}\r\n\r\n".encode()
        reader, writer = await dial(served, stack, request)
        assert b'{"status":"ok"}' in await reader.readuntil(b'{"status":"ok"}')
        writer.write(request)
        await reader.readuntil(b'{"status":"ok"}')
        assert await hears_nothing(reader)


async def hears_nothing(reader: asyncio.StreamReader) -> bool:
    """Whether the other side hangs up without a word."""
    try:
        return await asyncio.wait_for(reader.read(), 5) == b""
    except ConnectionError:
        return True
