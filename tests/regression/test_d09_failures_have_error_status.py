"""D9: failures were answered with 200 and `{"status": "error"}`."""

from __future__ import annotations

import asyncio
import re
from io import BytesIO

import aiohttp

from opencraw.contract import Route
from opencraw.control.errors import CODES
from opencraw.control.settings import RuntimeSettings
from tests.control.serving import BEARER, Served, code_of, every_route, serving

SEND = "/api/v1/os/messages/send"
_NAMED = re.compile(r"\{\w+\}")
MESSAGE = {"channel": "webchat", "recipient": "main", "message": "hello"}


async def test_d09_failures_have_error_status() -> None:
    runtime = RuntimeSettings(http_timeout_seconds=0.5, http_max_in_flight=2)
    async with serving(runtime=runtime) as served:
        for route in every_route(served.facts):
            await every_route_refuses_what_is_wrong(served, route)
        await single_routes_fail_as_they_should(served)
        await what_is_not_http_gets_the_same_shape(served)


async def every_route_refuses_what_is_wrong(served: Served, route: Route) -> None:
    path = _NAMED.sub("index.html", route.path)
    if not route.public:
        await expect(served, route.method, path, 401, "missing_bearer_token")
    await expect(served, "PUT", path, 405, "METHOD_NOT_ALLOWED", headers=BEARER)
    beyond = f"{path.rstrip('/')}/nowhere/at/all"
    await expect(served, route.method, beyond, 404, "NOT_FOUND", headers=BEARER)
    foreign = {**BEARER, "Host": "evil.example"}
    await expect(served, route.method, path, 403, "HOST_NOT_ALLOWED", headers=foreign)


async def single_routes_fail_as_they_should(served: Served) -> None:
    text = {**BEARER, "Content-Type": "text/plain"}
    packed = {**BEARER, "Content-Encoding": "gzip", "Content-Type": "application/json"}
    nowhere = {**MESSAGE, "channel": "nowhere"}
    await expect(served, "POST", SEND, 415, "UNSUPPORTED_MEDIA_TYPE", headers=text, data=b"{}")
    await expect(served, "POST", SEND, 415, "UNSUPPORTED_MEDIA_TYPE", headers=packed, data=b"{}")
    await expect(served, "POST", SEND, 400, "MISSING_FIELD", headers=BEARER, json={})
    await expect(served, "POST", SEND, 404, "NOT_FOUND", headers=BEARER, json=nowhere)
    json = {**BEARER, "Content-Type": "application/json"}
    large = BytesIO(b"[" + b" " * 1_100_000 + b"]")
    await expect(served, "POST", SEND, 413, "PAYLOAD_TOO_LARGE", headers=json, data=large)
    await expect(served, "GET", "/assets/nothing.js", 404, "NOT_FOUND")
    # WebChat is mounted but does not run, and its socket is no page.
    await expect(served, "GET", "/ws?chat=%2e%2e", 400, "INVALID_FIELD", headers=BEARER)
    await expect(served, "GET", "/ws", 503, "SERVICE_UNAVAILABLE", headers=BEARER)
    body = await expect(served, "GET", "/probe/fail", 500, "INTERNAL_ERROR", headers=BEARER)
    assert "insides" not in body
    assert "Traceback" not in body
    await expect(served, "GET", "/probe/wait", 504, "TIMEOUT", headers=BEARER)
    served.facts.problems["database"] = "away"
    await asyncio.sleep(1.1)  # as old as readiness may be
    async with served.client.get("/ready") as response:
        assert response.status == 503
    for number in range(10):
        guess = {"Authorization": f"Bearer guess-{number}"}
        await expect(served, "GET", "/ready", 401, "invalid_bearer_token", headers=guess)
    last = {"Authorization": "Bearer one guess too many"}
    await expect(served, "GET", "/ready", 429, "RATE_LIMITED", headers=last)


async def what_is_not_http_gets_the_same_shape(served: Served) -> None:
    for raw, status in (
        (b"NONSENSE\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 9000 + b"\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\n" + b"X: x\r\n" * 1000 + b"\r\n", b"431"),
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", served.server.port)
        writer.write(raw)
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        assert answer.split(b" ")[1] == status
        assert b'\r\n\r\n{"error":{"code":"' in answer
        assert b"aiohttp" not in answer


async def expect(
    served: Served, method: str, path: str, status: int, code: str, **request: object
) -> str:
    assert code in CODES
    async with ask(served.client, method, path, request) as response:
        assert (response.status, await code_of(response)) == (status, code), f"{method} {path}"
        return await response.text()


def ask(
    client: aiohttp.ClientSession, method: str, path: str, request: dict[str, object]
) -> aiohttp.client._RequestContextManager:
    return client.request(method, path, **request)  # type: ignore[arg-type]
