from __future__ import annotations

import asyncio

import aiohttp
import pytest
from aiohttp import web

from opencraw.contract import Route
from opencraw.control.attempts import WRONG_TOKENS
from opencraw.control.settings import RuntimeSettings, SecuritySettings
from tests.control.serving import BEARER, TOKEN, UPGRADE, Served, code_of, serving

STATUS = "/api/v1/os/status"
SEND = "/api/v1/os/messages/send"
KEY = "a-key-that-an-operator-chose"
WITH_KEY = SecuritySettings(control_api_key=KEY)  # type: ignore[arg-type]


async def status_of(served: Served, token: str, **headers: str) -> int:
    headers["Authorization"] = f"Bearer {token}"
    async with served.client.get(STATUS, headers=headers) as response:
        return response.status


async def test_after_ten_wrong_tokens_a_peer_is_not_listened_to() -> None:
    async with serving(WITH_KEY) as served:
        assert await status_of(served, KEY) == 200
        answers = [await status_of(served, f"guess {number}") for number in range(WRONG_TOKENS)]
        assert answers == [401] * WRONG_TOKENS
        async with served.client.get(STATUS, headers={"Authorization": f"Bearer {KEY}"}) as answer:
            assert answer.status == 429
            assert int(answer.headers["Retry-After"]) >= 299
            assert await code_of(answer) == "RATE_LIMITED"
            assert (await answer.json())["error"]["retry_after_ms"] > 299_000


async def test_guesses_side_by_side_count_like_guesses_in_a_row() -> None:
    async with serving(WITH_KEY) as served:
        answers = await asyncio.gather(
            *(status_of(served, f"guess {number}") for number in range(200))
        )
    assert sorted(answers) == [401] * WRONG_TOKENS + [429] * (200 - WRONG_TOKENS)


async def test_guessing_over_websockets_counts_too() -> None:
    async with serving(WITH_KEY) as served:
        for number in range(WRONG_TOKENS):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await served.client.ws_connect(
                    "/probe/echo", protocols=["opencraw.v1", f"opencraw.token.guess-{number}"]
                )
            assert refused.value.status == 401
        assert await status_of(served, KEY) == 429


async def test_guessing_at_a_public_route_counts_too() -> None:
    async with serving(WITH_KEY) as served:
        for _ in range(WRONG_TOKENS):
            wrong = {"Authorization": "Bearer wrong"}
            async with served.client.get("/ready", headers=wrong) as response:
                assert response.status == 401
        assert await status_of(served, KEY) == 429


async def test_forwarded_headers_give_nobody_a_fresh_start() -> None:
    async with serving(WITH_KEY) as served:
        answers = [
            await status_of(served, "wrong", **{"X-Forwarded-For": f"10.0.0.{number}"})
            for number in range(WRONG_TOKENS + 1)
        ]
        assert answers[-1] == 429


async def test_nobody_can_lock_the_owner_out() -> None:
    async with serving(WITH_KEY) as served:
        for _ in range(2 * WRONG_TOKENS):
            await status_of(served, "wrong")
        assert await status_of(served, TOKEN) == 200


async def test_a_page_with_an_old_token_does_not_lock_out_the_programs_beside_it() -> None:
    async with serving(WITH_KEY) as served:
        origin = f"http://{served.authority}"
        for _ in range(2 * WRONG_TOKENS):
            await status_of(served, "old", Origin=origin)
        assert await status_of(served, KEY, Origin=origin) == 429
        assert await status_of(served, KEY) == 200


async def test_foreign_pages_and_requests_without_a_token_are_no_guesses() -> None:
    async with serving(WITH_KEY) as served:
        for _ in range(2 * WRONG_TOKENS):
            assert await status_of(served, "wrong", Origin="https://evil.example") == 403
            async with served.client.get(STATUS) as response:
                assert response.status == 401
            async with served.client.get(f"{STATUS}?token=wrong") as response:
                assert response.status == 401
        assert await status_of(served, KEY) == 200


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Basic b3duZXI6cHc=",
        TOKEN,
        f"Bearer {TOKEN} ",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}x",
        "Bearer schlüssel-für-alle",
    ],
)
async def test_only_the_whole_token_in_the_right_form_is_good(header: str) -> None:
    async with serving() as served:
        # The client library would refuse or repair some of these.
        raw = (
            f"GET {STATUS} HTTP/1.1\r\nHost: {served.authority}\r\nAuthorization: {header}\r\n\r\n"
        )
        status = await raw_status(served, raw.encode())
    assert status == (200 if header == f"Bearer {TOKEN} " else 401)


@pytest.mark.parametrize("tokens", [(TOKEN, "wrong"), ("wrong", TOKEN), (TOKEN, TOKEN)])
async def test_two_tokens_are_none(tokens: tuple[str, str]) -> None:
    async with serving() as served:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await served.client.ws_connect(
                "/probe/echo",
                headers={"Authorization": f"Bearer {tokens[0]}"},
                protocols=[f"opencraw.token.{tokens[1]}"],
            )
        assert refused.value.status == 401
        raw = f"GET {STATUS} HTTP/1.1\r\nHost: {served.authority}\r\n"
        raw += "".join(f"Authorization: Bearer {token}\r\n" for token in tokens)
        assert await raw_status(served, f"{raw}\r\n".encode()) in (400, 401)


async def test_two_origins_are_a_foreign_one() -> None:
    async with serving() as served:
        raw = f"GET /health HTTP/1.1\r\nHost: {served.authority}\r\n"
        raw += f"Origin: http://{served.authority}\r\n"
        assert await raw_status(served, f"{raw}\r\n".encode()) == 200
        raw += "Origin: https://evil.example\r\n"
        assert await raw_status(served, f"{raw}\r\n".encode()) == 403


async def test_two_hosts_or_none_are_refused() -> None:
    async with serving() as served:
        host = f"Host: {served.authority}\r\n"
        two = "GET /health HTTP/1.1\r\n" + host + "Host: evil.example\r\n\r\n"
        assert await raw_status(served, two.encode()) in (400, 403)
        assert await raw_status(served, b"GET /health HTTP/1.0\r\n\r\n") == 403
        one = f"GET /health HTTP/1.1\r\n{host}\r\n"
        assert await raw_status(served, one.encode()) == 200


async def test_a_websocket_opens_with_either_form_of_the_token() -> None:
    async with serving() as served:
        protocols = ["opencraw.v1", f"opencraw.token.{TOKEN}"]
        async with served.client.ws_connect("/probe/echo", protocols=protocols) as opened:
            # Answering with the token's own protocol would repeat the secret.
            assert opened.protocol == "opencraw.v1"
            await opened.send_str("hello")
            assert await opened.receive_str() == "hello"
        async with served.client.ws_connect("/probe/echo", headers=BEARER) as opened:
            await opened.send_str("hello")
            assert await opened.receive_str() == "hello"


async def test_a_subprotocol_is_a_credential_for_websockets_only() -> None:
    async with serving() as served:
        offered = {"Sec-WebSocket-Protocol": f"opencraw.token.{TOKEN}"}
        async with served.client.get(STATUS, headers=offered) as response:
            assert response.status == 401


async def test_names_and_pages_that_the_operator_lists_are_ours() -> None:
    security = SecuritySettings(
        allowed_hosts=["assistant.example.org"], allowed_origins=["https://page.example.org"]
    )
    async with serving(security) as served:
        for origin, expected in {
            "https://assistant.example.org": 200,
            "https://page.example.org": 200,
            "https://page.example.org:444": 403,
            "https://other.example.org": 403,
        }.items():
            headers = {**BEARER, "Host": "assistant.example.org", "Origin": origin}
            async with served.client.get(STATUS, headers=headers) as response:
                assert response.status == expected, origin


@pytest.mark.parametrize("origin", [None, "https://evil.example"])
@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; x=y"]
)
@pytest.mark.parametrize("token", [{}, BEARER])
async def test_what_a_foreign_page_can_post_is_refused(
    content_type: str, origin: str | None, token: dict[str, str]
) -> None:
    headers = {**token, "Content-Type": content_type} | ({"Origin": origin} if origin else {})
    body = b'{"channel":"webchat","recipient":"main","message":"hello"}'
    async with serving() as served:
        async with served.client.post(SEND, data=body, headers=headers) as response:
            assert response.status == (403 if origin else 415)
        assert served.facts.sent == []
        headers = {**BEARER, "Content-Type": "application/json"}
        async with served.client.post(SEND, data=body, headers=headers) as response:
            assert response.status == 200
        assert served.facts.sent == [("webchat", "main", "hello")]


@pytest.mark.parametrize("content_type", ["application/octet-stream", "text/json", "image/png"])
async def test_any_other_body_is_refused_once_we_know_who_asks(content_type: str) -> None:
    body = b'{"channel":"webchat","recipient":"main","message":"hello"}'
    async with serving() as served:
        for token, status in (({}, 401), (BEARER, 415)):
            headers = {**token, "Content-Type": content_type}
            async with served.client.post(SEND, data=body, headers=headers) as response:
                assert response.status == status
        assert served.facts.sent == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Content-Length": str(10**9)}, 413), ({"Content-Encoding": "gzip"}, 415)],
)
async def test_large_and_packed_bodies_are_refused_unread(
    headers: dict[str, str], status: int
) -> None:
    async with serving() as served:
        lines = {"Host": served.authority, **BEARER, "Content-Type": "application/json", **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        raw = f"POST {SEND} HTTP/1.1\r\n{head}\r\n"
        assert await raw_status(served, raw.encode()) == status


async def test_a_body_without_a_length_is_cut_off_at_the_limit() -> None:
    async with serving() as served:

        async def endless() -> object:
            for _ in range(64):
                yield b"[" * 65_536

        headers = {**BEARER, "Content-Type": "application/json"}
        async with served.client.post(SEND, data=endless(), headers=headers) as response:
            assert response.status == 413
            assert await code_of(response) == "PAYLOAD_TOO_LARGE"


async def test_who_waits_for_a_go_ahead_gets_it_after_the_checks() -> None:
    async with serving() as served:
        head = f"POST {SEND} HTTP/1.1\r\nHost: {served.authority}\r\nExpect: 100-continue\r\n"
        head += "Content-Type: application/json\r\nContent-Length: 2\r\n"
        refused = await raw_answer(served, f"{head}\r\n".encode())
        assert refused.startswith(b"HTTP/1.1 401")
        let_on = await raw_answer(
            served, f"{head}Authorization: Bearer {TOKEN}\r\n\r\n{{}}".encode()
        )
        assert let_on.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400")


async def test_one_request_too_many_is_asked_to_come_back() -> None:
    runtime = RuntimeSettings(http_max_in_flight=2, http_timeout_seconds=1)
    async with serving(runtime=runtime) as served:
        slow = [asyncio.create_task(ask_slow(served)) for _ in range(2)]
        while not await is_full(served):
            await asyncio.sleep(0.01)
        # Probes are answered, and strangers learn nothing.
        async with served.client.get("/health") as response:
            assert response.status == 200
        async with served.client.get(STATUS) as response:
            assert response.status == 401
        await asyncio.gather(*slow)
        assert not await is_full(served)


async def ask_slow(served: Served) -> None:
    async with served.client.get("/probe/wait", headers=BEARER):
        pass


async def is_full(served: Served) -> bool:
    async with served.client.get(STATUS, headers=BEARER) as response:
        if response.status == 503:
            assert await code_of(response) == "QUEUE_FULL"
            assert response.headers["Retry-After"] == "1"
        return response.status == 503


async def test_a_slow_request_is_given_up_but_a_websocket_lives_on() -> None:
    runtime = RuntimeSettings(http_timeout_seconds=0.2, http_max_in_flight=1)
    async with (
        serving(runtime=runtime) as served,
        served.client.ws_connect("/probe/echo", headers=BEARER) as opened,
    ):
        async with served.client.get("/probe/wait", headers=BEARER) as response:
            assert response.status == 504
            assert await code_of(response) == "TIMEOUT"
        await opened.send_str("still here")
        assert await opened.receive_str() == "still here"


async def test_a_body_that_never_comes_is_given_up() -> None:
    runtime = RuntimeSettings(http_timeout_seconds=0.2)
    async with serving(runtime=runtime) as served:
        raw = f"POST {SEND} HTTP/1.1\r\nHost: {served.authority}\r\nContent-Length: 100\r\n"
        raw += f"Content-Type: application/json\r\nAuthorization: Bearer {TOKEN}\r\n\r\n{{"
        assert await raw_status(served, raw.encode()) == 504


async def test_a_bare_refusal_of_a_handler_gets_the_same_shape() -> None:
    async def upgrade_first(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=426, headers={"Upgrade": "websocket"})

    async with (
        serving(routes=[Route("GET", "/probe/bare", upgrade_first)]) as served,
        served.client.get("/probe/bare", headers=BEARER) as response,
    ):
        assert (response.status, response.headers["Upgrade"]) == (426, "websocket")
        assert await code_of(response) == "UPGRADE_REQUIRED"


async def test_a_failure_in_an_open_websocket_writes_no_http_into_it() -> None:
    async def fail_later(request: web.Request) -> web.StreamResponse:
        opened = web.WebSocketResponse()
        await opened.prepare(request)
        await opened.receive()
        raise RuntimeError("on purpose")

    async with serving(routes=[Route("GET", "/probe/later", fail_later)]) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.server.port)
        head = "".join(f"{k}: {v}\r\n" for k, v in {**UPGRADE, **BEARER}.items())
        writer.write(
            f"GET /probe/later HTTP/1.1\r\nHost: {served.authority}\r\n{head}\r\n".encode()
        )
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"\x81\x80\0\0\0\0")
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


async def raw_answer(served: Served, raw: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.server.port)
    writer.write(raw)
    answer = b""
    while b"}}" not in answer and b'"ok"}' not in answer and b"[]}" not in answer:
        part = await reader.read(65_536)
        if not part:
            break
        answer += part
    writer.close()
    await writer.wait_closed()
    return answer


async def raw_status(served: Served, raw: bytes) -> int:
    return int((await raw_answer(served, raw)).split(b" ", 2)[1])
