"""What holds for every route there is. The list of routes is the server's own."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import aiohttp
import pytest

from opencraw.contract import Route
from opencraw.control.credentials import SUPPORTED_SCOPES
from opencraw.control.settings import ApiKey, SecuritySettings
from tests.control.serving import BEARER, UPGRADE, Dictated, Served, code_of, every_route, serving

ROUTES = every_route(Dictated())
NAMES = [f"{route.method} {route.path}" for route in ROUTES]
PLAIN_AND_UPGRADE: list[dict[str, str]] = [{}, UPGRADE]
KEYS = {scope: f"key-with-the-scope-{scope}-0123456789" for scope in sorted(SUPPORTED_SCOPES)}
_STATUS = {"control:read", "control:write", "*"}
_READS_MESSAGES = {"messages:read", "messages:write", "control:read", "control:write", "*"}
_READS_SESSIONS = {"sessions:read", "sessions:write", "control:read", "control:write", "*"}
_CHANGES_SESSIONS = {"sessions:write", "control:write", "*"}
_READS_MEMORY = {"memory:read", "memory:write", "control:read", "control:write", "*"}
_CHANGES_MEMORY = {"memory:write", "control:write", "*"}
#: Who gets in where, written by hand. Whoever adds a route says here whom it lets in.
EXPECTED = {
    "GET /api/v1/os/health": _STATUS,
    "GET /api/v1/os/status": _STATUS,
    "GET /api/v1/os/sessions": _READS_SESSIONS,
    "POST /api/v1/os/sessions": _CHANGES_SESSIONS,
    "GET /api/v1/os/sessions/search": _READS_SESSIONS,
    "GET /api/v1/os/sessions/{id}": _READS_SESSIONS,
    "DELETE /api/v1/os/sessions/{id}": _CHANGES_SESSIONS,
    "POST /api/v1/os/sessions/{id}/model": _CHANGES_SESSIONS,
    "POST /api/v1/os/sessions/{id}/fork": _CHANGES_SESSIONS,
    "GET /api/v1/os/channels": _STATUS,
    "GET /api/v1/os/channels/{name}/probe": _STATUS,
    "GET /api/v1/os/channels/{name}/logs": _STATUS,
    "GET /api/v1/os/channels/{name}/quarantine": _READS_MESSAGES,
    "GET /api/v1/os/deliveries": _READS_MESSAGES,
    "POST /api/v1/os/deliveries/{name}/retry": {"messages:write", "control:write", "*"},
    "POST /api/v1/os/deliveries/{name}/drop": {"messages:write", "control:write", "*"},
    "GET /api/v1/os/messages": _READS_MESSAGES,
    "GET /api/v1/os/messages/{name}": _READS_MESSAGES,
    "POST /api/v1/os/messages/send": {"messages:write", "control:write", "*"},
    "POST /api/v1/os/memory/search": _READS_MEMORY,
    "POST /api/v1/os/memory/summarize": _READS_MEMORY,
    "GET /api/v1/os/memory/scopes": _READS_MEMORY,
    "GET /api/v1/os/memory/items": _READS_MEMORY,
    "GET /api/v1/os/memory/export": _READS_MEMORY,
    "POST /api/v1/os/memory/items": _CHANGES_MEMORY,
    "PATCH /api/v1/os/memory/items/{id}": _CHANGES_MEMORY,
    "DELETE /api/v1/os/memory/items/{id}": _CHANGES_MEMORY,
    "POST /api/v1/os/memory/forget": _CHANGES_MEMORY,
    "GET /api/v1/os/attachments/{id}": _READS_SESSIONS,
    "POST /files": {"chat:write", "control:write", "*"},
    "GET /ws": {"chat:write", "control:write", "*"},
    "GET /probe/echo": {"chat:write", "control:write", "*"},
    "GET /probe/fail": {"control:write", "*"},
}


@pytest.fixture(scope="module")
async def served() -> AsyncIterator[Served]:
    keys = [ApiKey.model_validate({"token": KEYS[s], "scopes": [s]}) for s in KEYS]
    async with serving(SecuritySettings(control_api_keys=keys)) as running:
        yield running


async def ask(
    served: Served, route: Route, headers: dict[str, str]
) -> tuple[aiohttp.ClientResponse, str]:
    """Send a request; return the answer and, where it is a failure, its code."""
    path = re.sub(r"{\w+}", "index.html", route.path)
    body = b"{}" if route.method == "POST" else None
    if body is not None:
        kind = "application/octet-stream" if route.largest_file else "application/json"
        headers = {"Content-Type": kind, **headers}
    async with served.client.request(route.method, path, headers=headers, data=body) as response:
        code = ""
        if response.status >= 400 and response.status != 503:
            code = await code_of(response)
        return response, code


@pytest.mark.parametrize("upgrade", PLAIN_AND_UPGRADE, ids=["plain", "upgrade"])
@pytest.mark.parametrize("route", ROUTES, ids=NAMES)
async def test_without_a_token_only_public_routes_answer(
    served: Served, route: Route, upgrade: dict[str, str]
) -> None:
    response, code = await ask(served, route, upgrade)
    if route.public:
        assert response.status == 200
    else:
        assert (response.status, code) == (401, "missing_bearer_token")
        assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("upgrade", PLAIN_AND_UPGRADE, ids=["plain", "upgrade"])
@pytest.mark.parametrize("route", ROUTES, ids=NAMES)
async def test_a_token_that_nobody_issued_opens_nothing(
    served: Served, route: Route, upgrade: dict[str, str]
) -> None:
    # From another page each time, or the eleventh would be told to go away.
    wrong = {"Authorization": "Bearer wrong", **upgrade}
    async with serving() as fresh:
        response, code = await ask(fresh, route, wrong)
    assert (response.status, code) == (401, "invalid_bearer_token")


@pytest.mark.parametrize("upgrade", PLAIN_AND_UPGRADE, ids=["plain", "upgrade"])
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "localhost.:{port}"]
)
@pytest.mark.parametrize("route", ROUTES, ids=NAMES)
async def test_a_foreign_host_reaches_nothing(
    served: Served, route: Route, host: str, upgrade: dict[str, str]
) -> None:
    headers = {**BEARER, **upgrade, "Host": host.format(port=served.server.port)}
    response, code = await ask(served, route, headers)
    assert (response.status, code) == (403, "HOST_NOT_ALLOWED")


@pytest.mark.parametrize("upgrade", PLAIN_AND_UPGRADE, ids=["plain", "upgrade"])
@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "",
        "http://127.0.0.1",
        "https://127.0.0.1:{port}",
        "http://127.0.0.1:{port}.evil.example",
        "http://evil.example/127.0.0.1:{port}",
    ],
)
@pytest.mark.parametrize("route", ROUTES, ids=NAMES)
async def test_a_foreign_page_reaches_nothing(
    served: Served, route: Route, origin: str, upgrade: dict[str, str]
) -> None:
    headers = {**BEARER, **upgrade, "Origin": origin.format(port=served.server.port)}
    response, code = await ask(served, route, headers)
    assert (response.status, code) == (403, "ORIGIN_NOT_ALLOWED")


@pytest.mark.parametrize("route", ROUTES, ids=NAMES)
async def test_a_token_in_the_address_is_refused(served: Served, route: Route) -> None:
    path = re.sub(r"{\w+}", "index.html", route.path)
    async with served.client.request(route.method, f"{path}?token=abc", headers=BEARER) as response:
        assert response.status == 401
        assert await code_of(response) == "invalid_bearer_token"


@pytest.mark.parametrize("origin", [None, "http://127.0.0.1:{port}", "http://localhost:{port}"])
@pytest.mark.parametrize("name", [*EXPECTED, "GET /", "GET /health"])
async def test_the_owner_gets_in_everywhere(served: Served, name: str, origin: str | None) -> None:
    headers = dict(BEARER)
    if origin is not None:
        headers["Origin"] = origin.format(port=served.server.port)
    response, code = await ask(served, ROUTES[NAMES.index(name)], headers)
    assert response.status not in (401, 403, 404, 405, 429), code


@pytest.mark.parametrize("scope", sorted(SUPPORTED_SCOPES))
@pytest.mark.parametrize("name", EXPECTED)
async def test_a_scope_reaches_what_it_is_for(served: Served, name: str, scope: str) -> None:
    route = ROUTES[NAMES.index(name)]
    response, code = await ask(served, route, {"Authorization": f"Bearer {KEYS[scope]}"})
    if scope in EXPECTED[name]:
        assert response.status not in (401, 403)
    else:
        assert (response.status, code) == (403, "missing_required_scope")


def test_every_route_says_whom_it_lets_in() -> None:
    hanging = {"GET /probe/wait"}
    assert {
        name for name, route in zip(NAMES, ROUTES, strict=True) if not route.public
    } - hanging == set(EXPECTED)


async def test_every_answer_is_fenced_in(served: Served) -> None:
    for path in ("/", "/health", "/nowhere", "/probe/fail", "/ws"):
        async with served.client.get(path, headers=BEARER) as response:
            assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["Referrer-Policy"] == "no-referrer"
            assert "aiohttp" not in response.headers.get("Server", "")
