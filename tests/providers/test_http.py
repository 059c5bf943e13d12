from __future__ import annotations

import asyncio
import socket

import aiohttp
import pytest
from aiohttp import web

from opencraw.errors import FailureKind, ModelFailure
from tests.fakes.model_server import ModelServer
from tests.providers.conftest import Connect, events, reply, says


async def failure(connect: Connect, url: str, **fields: object) -> ModelFailure:
    with pytest.raises(ModelFailure) as raised:
        await events(connect("openai", base_url=url, **fields), says("hello"))
    return raised.value


async def test_connections_are_used_again(
    server: ModelServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    connect_once = aiohttp.TCPConnector._create_connection

    async def counted(self: aiohttp.TCPConnector, *args: object, **more: object) -> object:
        opened.append(1)
        return await connect_once(self, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(aiohttp.TCPConnector, "_create_connection", counted)
    provider = connect("anthropic")
    for _ in range(5):
        # The end comes later than the answer.
        await reply(provider, says("hello [[delay 0.005]]"))
    assert len(opened) == 1


async def test_a_port_where_nobody_listens(connect: Connect) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    raised = await failure(connect, f"http://127.0.0.1:{port}/v1")
    assert raised.kind == FailureKind.UNREACHABLE
    assert str(port) in str(raised)


async def test_an_unknown_host(connect: Connect) -> None:
    raised = await failure(connect, "http://nobody.invalid/v1")
    assert raised.kind == FailureKind.UNREACHABLE
    assert "nobody.invalid" in str(raised)


async def test_a_server_that_speaks_no_tls(server: ModelServer, connect: Connect) -> None:
    raised = await failure(connect, server.url.replace("http:", "https:") + "/v1")
    assert raised.kind == FailureKind.UNREACHABLE


async def test_a_server_that_hangs_up_at_once(connect: Connect) -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        raised = await failure(connect, f"http://127.0.0.1:{port}/v1")
    assert raised.kind == FailureKind.UNREACHABLE


async def test_a_server_that_speaks_no_http(connect: Connect) -> None:
    async def mumble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(mumble, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        raised = await failure(connect, f"http://127.0.0.1:{port}/v1")
    assert raised.kind == FailureKind.UNREACHABLE


async def answering(body: str, status: int) -> web.AppRunner:
    """A server that answers everything alike."""

    async def answer(request: web.Request) -> web.Response:
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        return web.json_response({"error": {"message": body.format(key=key)}}, status=status)

    app = web.Application()
    app.router.add_post("/{anything:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner


async def test_a_key_that_a_server_repeats_is_not_shown(connect: Connect) -> None:
    runner = await answering("Incorrect API key provided: {key}.", 401)
    try:
        port = runner.addresses[0][1]
        raised = await failure(connect, f"http://127.0.0.1:{port}/v1", key="sk-very-secret")
    finally:
        await runner.cleanup()
    assert raised.kind == FailureKind.AUTH
    assert "Incorrect API key provided: [key]" in str(raised)
    assert "sk-very-secret" not in f"{raised!r} {raised.__cause__!r}"


async def test_an_error_that_comes_as_success_is_an_error(connect: Connect) -> None:
    runner = await answering("all channels are busy", 200)
    try:
        raised = await failure(connect, f"http://127.0.0.1:{runner.addresses[0][1]}/v1")
    finally:
        await runner.cleanup()
    assert raised.kind == FailureKind.OVERLOADED
    assert "all channels are busy" in str(raised)


async def test_silence_too_meets_the_deadline(server: ModelServer, connect: Connect) -> None:
    provider = connect("openai", total_timeout_seconds=0.2)
    with pytest.raises(ModelFailure, match=r"not complete after 0\.2 s"):
        await events(provider, says("[[words 9]] [[stall]]"))


async def test_a_slow_listener_does_not_move_the_deadline(connect: Connect) -> None:
    """There is always something to read, so the client itself never waits and never looks."""
    provider = connect("openai", total_timeout_seconds=0.2)

    async def listen() -> None:
        async for _ in provider.stream(says("[[endless]] [[delay 0.001]]")):
            await asyncio.sleep(0.004)

    with pytest.raises(ModelFailure, match="not complete"):
        await asyncio.wait_for(listen(), 5)


async def test_a_huge_request_is_sent(server: ModelServer, connect: Connect) -> None:
    text = "word " * 1_000_000
    assert (await reply(connect("openai"), says(f"[[say ok]] {text}"))).text == "ok"
    assert server.requests[-1]["messages"][-1]["content"].endswith(text)


async def test_the_environment_names_no_proxy(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert (await reply(connect("openai"), says("hello"))).text == "hello"


async def test_a_provider_can_be_used_after_it_was_closed(connect: Connect) -> None:
    provider = connect("openai")
    await reply(provider, says("hello"))
    await provider.close()
    assert (await reply(provider, says("hello"))).text == "hello"


async def test_without_a_key_none_is_sent(connect: Connect) -> None:
    async with ModelServer(key="sk-right") as strict:
        for key, kind in ((None, FailureKind.AUTH), ("sk-wrong", FailureKind.AUTH)):
            raised = await failure(connect, strict.url + "/v1", key=key)
            assert raised.kind == kind
        provider = connect("openai", base_url=strict.url + "/v1", key="sk-right")
        assert (await reply(provider, says("hello"))).text == "hello"
