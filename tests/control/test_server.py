from __future__ import annotations

import asyncio
import logging
import os
import socket

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from opencraw.contract import Route
from opencraw.control.server import HttpServer
from opencraw.control.settings import RuntimeSettings, SecuritySettings
from opencraw.errors import CannotStart
from tests.control.serving import BEARER, TOKEN, serving


def server_on(port: int, runtime: RuntimeSettings | None = None, *routes: Route) -> HttpServer:
    return HttpServer(
        runtime or RuntimeSettings(), SecuritySettings(), port=port, routes=routes, token=TOKEN
    )


def can_connect(address: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        return probe.connect_ex((address, port)) == 0


async def test_any_free_port_serves_both_loopback_addresses_and_no_other() -> None:
    async with serving() as served:
        port = served.server.port
        assert port != 0
        assert served.server.base_url == f"http://127.0.0.1:{port}"
        async with aiohttp.ClientSession() as client:
            for host in ("127.0.0.1", "localhost", "[::1]"):
                async with client.get(f"http://{host}:{port}/health") as response:
                    assert await response.json() == {"status": "ok"}
        assert not can_connect("127.0.0.2", port)
    assert not can_connect("127.0.0.1", port)


async def test_a_busy_port_names_who_holds_it_and_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotStart) as refused:
            await server_on(port).start()
    assert f"Port {port} is taken: process {os.getpid()} (" in str(refused.value)
    assert "Fix: stop that program" in str(refused.value)


async def test_somebody_else_on_the_other_loopback_address_is_a_busy_port_too() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotStart, match="is taken"):
            await server_on(port).start()
    assert not can_connect("127.0.0.1", port)


async def test_an_address_of_another_machine_is_refused() -> None:
    runtime = RuntimeSettings(
        bind_mode="custom", bind_addr="192.0.2.1", allow_public_bind_without_auth=True
    )
    with pytest.raises(CannotStart, match=r"correct runtime\.bind_addr"):
        await server_on(0, runtime).start()


@pytest.mark.parametrize(
    "runtime",
    [
        RuntimeSettings(bind_mode="lan"),
        RuntimeSettings(bind_mode="custom", bind_addr="10.0.0.1"),
        RuntimeSettings(bind_mode="custom", bind_addr="[::]:3000"),
    ],
)
async def test_other_machines_get_in_only_with_a_key_that_the_operator_chose(
    runtime: RuntimeSettings,
) -> None:
    with pytest.raises(CannotStart, match=r"set security\.control_api_key"):
        await server_on(0, runtime).start()


async def test_a_custom_loopback_address_needs_no_key() -> None:
    runtime = RuntimeSettings(bind_mode="custom", bind_addr="127.0.0.3")
    async with server_on(0, runtime) as server:
        assert server.base_url == f"http://127.0.0.3:{server.port}"
        async with aiohttp.ClientSession(server.base_url) as client, client.get("/x") as response:
            assert response.status == 404


async def test_on_every_network_the_address_that_was_dialled_is_a_good_host() -> None:
    security = SecuritySettings(control_api_key="a-key-that-an-operator-chose")  # type: ignore[arg-type]
    async with serving(security, RuntimeSettings(bind_mode="lan")) as served:
        assert served.server.base_url.startswith("http://127.0.0.1:")
        async with aiohttp.ClientSession(f"http://127.0.0.9:{served.server.port}") as client:
            async with client.get("/health") as response:
                assert response.status == 200
            rebound = {"Host": f"evil.example:{served.server.port}"}
            async with client.get("/health", headers=rebound) as response:
                assert response.status == 403


async def test_the_same_address_twice_is_refused_at_the_start() -> None:
    async def nothing(_request: web.Request) -> web.StreamResponse:
        return web.Response()

    twice = (Route("GET", "/same", nothing), Route("GET", "/same", nothing))
    with pytest.raises(CannotStart, match="GET /same"):
        await server_on(0, None, *twice).start()


async def test_stopping_lets_a_request_finish_and_closes_sockets_with_1012() -> None:
    entered, released = asyncio.Event(), asyncio.Event()

    async def slow(_request: web.Request) -> web.StreamResponse:
        entered.set()
        await released.wait()
        return web.json_response({"finished": True})

    routes = [Route("GET", "/probe/slow", slow)]
    async with serving(routes=routes) as served:
        opened = await served.client.ws_connect("/probe/echo", headers=BEARER)
        asked = asyncio.create_task(served.client.get("/probe/slow", headers=BEARER))
        await entered.wait()
        stopping = asyncio.create_task(served.server.stop())
        farewell = await opened.receive()
        assert (farewell.type, farewell.data) == (WSMsgType.CLOSE, 1012)
        assert not can_connect("127.0.0.1", served.server.port)
        assert not asked.done()
        released.set()
        response = await asked
        assert await response.json() == {"finished": True}
        await asyncio.wait_for(stopping, 5)


async def test_idle_connections_do_not_hold_up_a_stop() -> None:
    async with serving() as served:
        async with served.client.get("/health") as response:
            await response.read()
        reader, writer = await asyncio.open_connection("127.0.0.1", served.server.port)
        await asyncio.wait_for(served.server.stop(), 1)
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


async def test_those_who_debug_see_requests_but_no_query_strings(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG, "aiohttp.access"):
        async with serving() as served:
            async with served.client.get("/health?chat=private%0aforged") as response:
                assert response.status == 200
            async with served.client.get("/a%0aforged") as response:
                assert response.status == 404
    shown = [each.getMessage() for each in caplog.records if each.name == "aiohttp.access"]
    assert [line.rsplit(" in ", 1)[0] for line in shown] == [
        "GET /health 200",
        "GET /a%0Aforged 404",
    ]


async def test_a_refusal_is_logged_without_what_was_shown(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        async with serving() as served:
            wrong = {"Authorization": "Bearer guessed-by-somebody"}
            async with served.client.get("/ready?chat=private", headers=wrong) as response:
                correlation_id = (await response.json())["error"]["correlation_id"]
    (record,) = [each for each in caplog.records if each.name == "opencraw.control.guard"]
    assert record.getMessage() == "GET /ready refused: invalid_bearer_token"
    assert record.__dict__["correlation_id"] == correlation_id
