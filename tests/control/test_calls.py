"""Calls without a credential, as webhooks are: whoever is slow with them harms nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from opencraw.contract import Route
from opencraw.control import calls as places
from opencraw.control import guard
from opencraw.control.calls import Call, Calls
from opencraw.control.settings import RuntimeSettings
from opencraw.errors import QueueFull
from tests.control.serving import BEARER, Served, serving
from tests.fixtures.core import until

STATUS = "/api/v1/os/status"
HOOK = "/probe/hook"


async def hook(request: web.Request) -> web.StreamResponse:
    """A webhook, which knows whether a call is signed when it has the body."""
    body = await request.read()
    return web.json_response({"bytes": len(body)}, status=200 if b"signed" in body else 401)


def answering(in_flight: int, seconds: float = 30) -> RuntimeSettings:
    return RuntimeSettings(http_max_in_flight=in_flight, http_timeout_seconds=seconds)


class Slow:
    """One who sends a beginning, and nothing more."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def answer(self) -> bytes:
        """The head of what is said to that, in the end."""
        return await self._reader.readuntil(b"\r\n\r\n")

    def say(self, rest: bytes) -> None:
        self._writer.write(rest)


@asynccontextmanager
async def slow(served: Served) -> AsyncIterator[Slow]:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.server.port)
    writer.write(
        f"POST {HOOK} HTTP/1.1\r\nHost: {served.authority}\r\n"
        "Content-Type: application/json\r\nContent-Length: 900\r\n\r\n{".encode()
    )
    try:
        yield Slow(reader, writer)
    finally:
        writer.close()


async def signed(served: Served) -> int:
    async with served.client.post(HOOK, json={"signed": True}) as response:
        return response.status


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody is slow whose body is not there at once."""
    monkeypatch.setattr(places, "SLOW_SECONDS", 0.0)


async def test_a_burst_of_one_peer_is_taken_whole() -> None:
    async with serving(
        runtime=answering(32), routes=[Route("POST", HOOK, hook, public=True)]
    ) as served:
        assert await asyncio.gather(*(signed(served) for _ in range(100))) == [200] * 100


@pytest.mark.usefixtures("impatient")
async def test_slow_strangers_shut_out_neither_owners_nor_signed_calls() -> None:
    async with (
        serving(runtime=answering(32), routes=[Route("POST", HOOK, hook, public=True)]) as served,
        AsyncExitStack() as stack,
    ):
        held = [await stack.enter_async_context(slow(served)) for _ in range(60)]
        # Those that have been at it for longest had to leave; they may come back.
        head = await held[0].answer()
        assert head.startswith(b"HTTP/1.1 503")
        assert b"Retry-After: 1" in head
        for _ in range(20):
            async with served.client.get(STATUS, headers=BEARER) as response:
                assert response.status == 200
            assert await signed(served) == 200


async def test_a_call_whose_body_does_not_come_is_given_up_before_others_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guard, "_BODY_SECONDS", 0.2)
    async with (
        serving(runtime=answering(32), routes=[Route("POST", HOOK, hook, public=True)]) as served,
        slow(served) as stranger,
        asyncio.timeout(10),
    ):
        assert (await stranger.answer()).startswith(b"HTTP/1.1 504")


async def test_a_call_whose_body_came_has_the_time_of_every_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guard, "_BODY_SECONDS", 0.3)
    begun, came, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def long(request: web.Request) -> web.StreamResponse:
        begun.set()
        await request.read()
        came.set()
        await done.wait()
        return web.Response()

    async with (
        serving(runtime=answering(4), routes=[Route("POST", HOOK, long, public=True)]) as served,
        slow(served) as bridge,
        asyncio.timeout(10),
    ):
        await begun.wait()
        bridge.say(b" " * 899)
        await came.wait()
        assert await signed(served) == 503, "nobody is sent away for a newcomer"
        end = asyncio.get_running_loop().time() + 0.4
        await until(lambda: asyncio.get_running_loop().time() > end, "its body's time is over")
        done.set()
        assert (await bridge.answer()).startswith(b"HTTP/1.1 200")


async def test_calls_that_are_at_work_leave_room_for_owners() -> None:
    begun: list[int] = []

    async def stuck(request: web.Request) -> web.StreamResponse:
        begun.append(len(await request.read()))
        await asyncio.Event().wait()
        raise AssertionError

    async def call(served: Served) -> int:
        async with served.client.post(HOOK, json={}) as response:
            return response.status

    routes = [Route("POST", HOOK, stuck, public=True)]
    async with serving(runtime=answering(8, seconds=2), routes=routes) as served:
        calls = [asyncio.create_task(call(served)) for _ in range(10)]
        await until(lambda: len(begun) == 2, "a quarter of eight is at work")
        async with served.client.get(STATUS, headers=BEARER) as response:
            assert response.status == 200
        assert sorted(await asyncio.gather(*calls)) == [503] * 8 + [504] * 2


async def test_who_leaves_early_gives_the_place_back() -> None:
    async with serving(
        runtime=answering(4), routes=[Route("POST", HOOK, hook, public=True)]
    ) as served:
        for _ in range(5):
            async with slow(served):
                pass
        await until(lambda: aiohttp_done(served), "nobody is at work")
        assert await signed(served) == 200


async def aiohttp_done(served: Served) -> bool:
    try:
        return await signed(served) == 200
    except aiohttp.ClientError:
        return False


class Caller:
    """Takes places, and remembers having lost them."""

    def __init__(self, calls: Calls, peer: str, *, whole: bool = False) -> None:
        self.left = False
        self.call = Call(peer, self._leave)
        calls.enter(self.call, whole=whole)

    def _leave(self) -> None:
        self.left = True


@pytest.mark.usefixtures("impatient")
def test_one_peer_has_a_part_of_the_places_and_the_others_keep_theirs() -> None:
    calls = Calls(64)
    other = Caller(calls, "10.0.0.1")
    many = [Caller(calls, "10.6.6.6") for _ in range(12)]
    assert [caller.left for caller in many] == [True] * 8 + [False] * 4
    assert not other.left


@pytest.mark.usefixtures("impatient")
def test_when_all_places_are_taken_the_slowest_leaves_for_whoever_comes() -> None:
    calls = Calls(16)
    first, *rest = [Caller(calls, f"10.0.0.{number}") for number in range(4)]
    Caller(calls, "10.0.0.9", whole=True)
    assert first.left
    assert not any(caller.left for caller in rest)


def test_nobody_leaves_whose_body_is_there() -> None:
    calls = Calls(16)
    here = [Caller(calls, f"10.0.0.{number}") for number in range(4)]
    for caller in here:
        calls.arrived(caller.call)
    with pytest.raises(QueueFull):
        Caller(calls, "10.0.0.9")
    calls.leave(here[0].call)
    Caller(calls, "10.0.0.9")
    assert not any(caller.left for caller in here)
