from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress

import pytest

from tests.faults.proxy import Proxy

Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """A proxy before a server that repeats what it hears."""

    async def repeat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while heard := await reader.read(65536):
                writer.write(heard)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(repeat, "127.0.0.1", 0)
    async with server, Proxy(server.sockets[0].getsockname()) as running:
        yield running


async def connected(proxy: Proxy) -> Line:
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def said(line: Line, text: bytes) -> bytes:
    """Say `text` and return as much of an answer."""
    line[1].write(text)
    return await line[0].readexactly(len(text))


async def in_vain(waiting: Awaitable[object]) -> bool:
    """Whether nothing comes of it for as long as a local line may take."""
    try:
        await asyncio.wait_for(waiting, 0.1)
    except TimeoutError:
        return True
    return False


async def test_everything_passes(proxy: Proxy) -> None:
    line = await connected(proxy)
    assert await said(line, b"hello") == b"hello"
    assert await said(line, b"x" * 300_000) == b"x" * 300_000
    line[1].close()


async def test_a_held_line_is_silent_and_loses_nothing(proxy: Proxy) -> None:
    line = await connected(proxy)
    await said(line, b"a")
    proxy.hold("down")
    line[1].write(b"b")
    assert await in_vain(asyncio.shield(reading := asyncio.ensure_future(line[0].readexactly(1))))
    proxy.release()
    assert await reading == b"b"
    line[1].close()


async def test_a_line_is_reset_before_a_byte_too_many(proxy: Proxy) -> None:
    proxy.cut_after = {"down": 4}
    line = await connected(proxy)
    assert await said(line, b"abcd") == b"abcd"
    line[1].write(b"e")
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await line[0].readexactly(1)
    assert proxy.cuts == 1


async def test_open_lines_are_cut_and_new_ones_refused(proxy: Proxy) -> None:
    line = await connected(proxy)
    await said(line, b"a")
    proxy.refusing = True
    proxy.cut()
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await line[0].readexactly(1)
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await said(await connected(proxy), b"b")
    proxy.refusing = False
    line = await connected(proxy)
    assert await said(line, b"c") == b"c"
    line[1].close()


async def test_a_line_may_be_slow_to_answer_and_slow_to_pass(proxy: Proxy) -> None:
    line = await connected(proxy)
    proxy.delay = 0.1
    began = time.monotonic()
    await said(line, b"a")
    assert time.monotonic() - began >= 0.1
    proxy.delay, proxy.bytes_per_second = 0.0, 10_000.0
    began = time.monotonic()
    await said(line, b"b" * 1_000)
    assert time.monotonic() - began >= 0.1
    line[1].close()
