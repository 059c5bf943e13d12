from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import cast
from uuid import uuid4

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType, web
from aiohttp.test_utils import TestClient, TestServer

from channels.webchat import channel as module
from channels.webchat import patience
from channels.webchat.channel import WebChat
from channels.webchat.connection import IN_FLIGHT
from opencraw.contract import Channel, Rights, Streams, Waiting, Webhook
from opencraw.errors import NotSent, Refused, SlowDown, Unavailable
from opencraw.events import DraftGrew
from tests.webchat.memory_gateway import MAIN, NOW, MemoryGateway, delivery, unheard

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Frames = list[dict[str, object]]


@web.middleware
async def translate(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except (Refused, Unavailable) as error:
        return web.Response(status=error.status, text=str(error))


class Served:
    """A WebChat on a port of its own."""

    def __init__(self, gateway: MemoryGateway) -> None:
        self.gateway = gateway
        self.channel = WebChat()
        application = web.Application(middlewares=[translate])
        for route in self.channel.routes():
            application.router.add_route(route.method, route.path, route.handler)
        self.client = TestClient(TestServer(application))
        self.running: asyncio.Task[None]

    @property
    def connections(self) -> Sequence[object]:
        """The connections that the server still keeps."""
        server = self.client.server.handler
        assert server is not None
        return list(server.connections)

    async def open(self, chat: str = "main") -> ClientWebSocketResponse:
        socket = await self.client.ws_connect(f"/ws?chat={chat}", protocols=("opencraw.v1",))
        hello = await socket.receive_json()
        assert hello["type"] == "hello"
        return socket


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    served = Served(MemoryGateway())
    await served.client.start_server()
    served.running = asyncio.create_task(served.channel.run(served.gateway))
    await asyncio.sleep(0)
    yield served
    served.running.cancel()
    await asyncio.wait([served.running])
    await served.client.close()


async def receive(socket: ClientWebSocketResponse, count: int) -> Frames:
    async with asyncio.timeout(5):
        return [await socket.receive_json() for _ in range(count)]


def message(number: int) -> dict[str, object]:
    return {"type": "message", "content": f"say {number}", "client_message_id": f"m-{number}"}


async def accepted(gateway: MemoryGateway, count: int) -> None:
    async with asyncio.timeout(5):
        while len(gateway.accepted) < count:
            await asyncio.sleep(0)


def test_webchat_has_the_powers_that_the_daemon_looks_for() -> None:
    channel = WebChat()
    assert isinstance(channel, Channel)
    assert isinstance(channel, Streams)
    assert isinstance(channel, Webhook)
    assert channel.idempotent


async def test_a_message_becomes_an_envelope_of_the_owner(served: Served) -> None:
    socket = await served.open("work")
    await socket.send_json(message(1))
    (ack,) = await receive(socket, 1)
    assert (ack["type"], ack["client_message_id"], ack["duplicate"]) == ("ack", "m-1", False)
    assert "muted" not in ack
    (envelope,) = served.gateway.accepted
    assert (envelope.address.channel, envelope.address.account) == ("webchat", "local")
    assert (envelope.address.chat, envelope.text) == ("work", "say 1")
    assert (envelope.sender.id, envelope.sender.rights) == ("owner", Rights.OWNER)
    assert envelope.dedupe_key == "work:m-1"
    served.gateway.silent = True
    await socket.send_json(message(2))
    (ack,) = await receive(socket, 1)
    assert ack["muted"] is True


async def test_the_same_id_is_the_same_message(served: Served) -> None:
    socket = await served.open()
    await socket.send_json(message(1))
    await socket.send_json(message(1))
    acks = await receive(socket, 2)
    assert [ack["duplicate"] for ack in acks] == [False, True] or [
        ack["duplicate"] for ack in acks
    ] == [True, True]


async def test_messages_are_accepted_in_order_and_not_one_by_one(served: Served) -> None:
    served.gateway.open.clear()
    socket = await served.open()
    for number in range(20):
        await socket.send_json(message(number))
    await accepted(served.gateway, 20)
    assert [e.text for e in served.gateway.accepted] == [f"say {n}" for n in range(20)]
    served.gateway.open.set()
    acks = await receive(socket, 20)
    assert [ack["client_message_id"] for ack in acks] == [f"m-{n}" for n in range(20)]


async def test_one_socket_has_a_bounded_number_of_requests_on_their_way(served: Served) -> None:
    served.gateway.open.clear()
    socket = await served.open()
    for number in range(IN_FLIGHT + 5):
        await socket.send_json(message(number))
    await accepted(served.gateway, IN_FLIGHT)
    await asyncio.sleep(0.05)
    assert len(served.gateway.accepted) == IN_FLIGHT
    served.gateway.open.set()
    await receive(socket, IN_FLIGHT + 5)


@pytest.mark.parametrize(
    ("failure", "code", "retryable"),
    [
        (Refused("no", code="FORBIDDEN"), "FORBIDDEN", False),
        (Unavailable("later"), "SERVICE_UNAVAILABLE", True),
        (SlowDown("later", retry_after=2.5), "RATE_LIMITED", False),
    ],
)
async def test_a_message_that_is_not_accepted_leaves_the_socket_alive(
    failure: Exception, code: str, retryable: bool, served: Served
) -> None:
    socket = await served.open()
    served.gateway.failure = failure
    await socket.send_json(message(1))
    (error,) = await receive(socket, 1)
    assert error == {
        "type": "error",
        "code": code,
        "message": str(failure),
        "retryable": retryable,
        "client_message_id": "m-1",
    }
    served.gateway.failure = None
    await socket.send_json(message(2))
    (ack,) = await receive(socket, 1)
    assert ack["client_message_id"] == "m-2"


async def test_malformed_frames_leave_the_socket_alive(served: Served) -> None:
    socket = await served.open()
    await socket.send_str("{")
    await socket.send_str("[" * 100_000)
    await socket.send_str('{"type":"no such type"}')
    await socket.send_bytes(b'{"type":"stop"}')
    await socket.send_json(message(1))
    frames = await receive(socket, 5)
    assert [frame["type"] for frame in frames] == ["error"] * 4 + ["ack"]


async def test_stop_is_the_command(served: Served) -> None:
    socket = await served.open()
    await socket.send_json({"type": "stop"})
    await accepted(served.gateway, 1)
    assert served.gateway.accepted[0].text == "/stop"


async def test_a_waiting_message_is_withdrawn(served: Served) -> None:
    waiting = Waiting(uuid4(), "later", NOW, "main:m-1")
    served.gateway.queue = [waiting]
    socket = await served.open()
    for ok in (True, False):
        await socket.send_json({"type": "withdraw", "message_id": str(waiting.message_id)})
        (answer,) = await receive(socket, 1)
        assert answer == {"type": "withdrawn", "message_id": str(waiting.message_id), "ok": ok}


async def test_a_resume_token_of_another_chat_is_refused(served: Served) -> None:
    socket = await served.open()
    await socket.send_json({"type": "resume", "resume_token": "x", "last_seq": 0})
    (error,) = await receive(socket, 1)
    assert (error["type"], error["code"]) == ("error", "INVALID_FIELD")


async def test_a_resume_token_survives_a_restart(served: Served) -> None:
    tokens = []
    for chat in ("main", "main", "other"):
        async with served.client.ws_connect(f"/ws?chat={chat}") as socket:
            tokens.append((await socket.receive_json())["resume_token"])
    assert tokens[0] == tokens[1] != tokens[2]


async def test_a_reply_goes_to_the_sockets_of_its_chat_only(served: Served) -> None:
    main, other = await served.open(), await served.open("other")
    await served.channel.send(delivery(served.gateway.add(1, "reply", "**hi**")), unheard)
    (frame,) = await receive(main, 1)
    assert (frame["content"], frame["html"]) == ("**hi**", "<p><strong>hi</strong></p>\n")
    await other.send_json({"type": "history", "before": 0})
    (answer,) = await receive(other, 1)
    assert answer["type"] == "history"


async def test_a_reply_with_nobody_there_succeeds(served: Served) -> None:
    await served.channel.send(delivery(served.gateway.add(1, "reply")), unheard)
    served.channel.show(MAIN, DraftGrew(uuid4(), 1, 0, "x"))


async def test_a_reply_that_cannot_be_put_in_order_is_sent_again(served: Served) -> None:
    await served.open()
    served.gateway.failure = Unavailable("away", retry_after=3)
    with pytest.raises(NotSent) as not_sent:
        await served.channel.send(delivery(served.gateway.add(5, "reply")), unheard)
    assert not_sent.value.retry_after == 3


async def test_the_subprotocol_is_selected(served: Served) -> None:
    assert (await served.open()).protocol == "opencraw.v1"


async def test_a_frame_of_the_largest_size_is_read_and_a_larger_one_closes(served: Served) -> None:
    socket = await served.open()
    await socket.send_str("x" * 1_200_000)
    (error,) = await receive(socket, 1)
    assert error["code"] == "INVALID_REQUEST"
    await socket.send_str("x" * 1_200_001)
    assert (await socket.receive(5)).type is WSMsgType.CLOSE
    assert socket.close_code == 1009


async def test_sockets_are_told_that_the_daemon_stops(served: Served) -> None:
    socket = await served.open()
    served.running.cancel()
    assert (await socket.receive(5)).type is WSMsgType.CLOSE
    assert socket.close_code == 1012
    async with asyncio.timeout(5):
        await asyncio.wait([served.running])
    response = await served.client.get("/ws")
    assert response.status == 503


async def test_a_socket_opened_while_the_database_is_away_is_sent_away(served: Served) -> None:
    served.gateway.failure = Unavailable("away")
    socket = await served.client.ws_connect("/ws")
    (error,) = await receive(socket, 1)
    assert (error["code"], error["retryable"]) == ("SERVICE_UNAVAILABLE", True)
    assert (await socket.receive(5)).type is WSMsgType.CLOSE
    assert socket.close_code == 1013


@asynccontextmanager
async def deaf(served: Served) -> AsyncIterator[asyncio.StreamReader]:
    """A client that opens a socket and then reads nothing until it leaves."""
    port = served.client.server.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 26)
    writer.write(
        b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    await reader.readuntil(b"hello")
    transport = cast("asyncio.Transport", writer.transport)
    transport.pause_reading()
    yield reader
    transport.resume_reading()
    # The caller reads the rest inside the context; an aborted socket has none.
    writer.close()


async def reply_at_length(served: Served, replies: int) -> None:
    for seq in range(1, replies + 1):
        line = served.gateway.add(seq, "reply", f"{seq} " * 40_000)
        await served.channel.send(delivery(line), unheard)


async def test_a_reader_who_falls_behind_is_sent_away_and_holds_nobody_up(served: Served) -> None:
    other = await served.open()
    reading = asyncio.create_task(receive(other, 160))
    async with deaf(served) as reader:
        await reply_at_length(served, 160)
        assert [frame["seq"] for frame in await reading] == list(range(1, 161))
        cast("asyncio.Transport", reader._transport).resume_reading()  # type: ignore[attr-defined]
        async with asyncio.timeout(10):
            rest = await reader.read(-1)
    assert rest.endswith(b"\x88\x02" + (1013).to_bytes(2))


async def test_a_reader_who_never_comes_back_is_forgotten(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GOODBYE_SECONDS", 0.1)
    async with deaf(served):
        await reply_at_length(served, 160)
        await until(lambda: not served.connections)


async def test_a_closed_socket_leaves_nothing_behind(served: Served) -> None:
    before = len(asyncio.all_tasks())
    sockets = [await served.open() for _ in range(3)]
    await sockets[0].send_json(message(1))
    await receive(sockets[0], 1)
    for socket in sockets:
        await socket.close()
    await until(lambda: len(asyncio.all_tasks()) <= before)
    assert not served.connections


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("chat", ["", "Main", "a" * 65, "a/b", "..", "%00"])
async def test_a_chat_needs_a_plain_name(chat: str, served: Served) -> None:
    response = await served.client.get(f"/ws?chat={chat}")
    assert response.status == 400


async def test_a_plain_request_learns_that_its_token_is_good(served: Served) -> None:
    response = await served.client.get("/ws")
    assert response.status == 426


@pytest.mark.parametrize("path", ["/", "/assets/app.js", "/assets/style.css", "/assets/icon.svg"])
async def test_the_page_is_fenced_in(path: str, served: Served) -> None:
    response = await served.client.get(path)
    assert response.status == 200
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    again = await served.client.get(path, headers={"If-None-Match": response.headers["ETag"]})
    assert again.status == 304


@pytest.mark.parametrize("name", ["none.js", "..%2fchannel.py", "%2fetc%2fpasswd", "app.js%00"])
async def test_only_the_page_s_own_files_are_served(name: str, served: Served) -> None:
    response = await served.client.get(f"/assets/{name}")
    assert response.status == 404


async def test_the_page_names_nobody_else(served: Served) -> None:
    page = await (await served.client.get("/")).text()
    assert "://" not in page
    assert " style=" not in page
    assert "onclick" not in page


async def test_a_silent_database_is_answered_for(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket = await served.open()
    monkeypatch.setattr(patience, "GATEWAY_SECONDS", 0.05)
    served.gateway.answering.clear()
    await socket.send_json({"type": "history"})
    await socket.send_json({"type": "withdraw", "message_id": str(uuid4())})
    for error in await receive(socket, 2):
        assert (error["type"], error["code"]) == ("error", "SERVICE_UNAVAILABLE")
        assert error["retryable"]
    served.gateway.answering.set()
    await socket.send_json({"type": "history"})
    (history,) = await receive(socket, 1)
    assert history["type"] == "history"


async def test_nobody_joins_while_the_database_is_silent(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "GATEWAY_SECONDS", 0.05)
    served.gateway.answering.clear()
    sockets = [await served.client.ws_connect("/ws") for _ in range(3)]
    for socket in sockets:
        (error,) = await receive(socket, 1)
        assert (error["code"], error["retryable"]) == ("SERVICE_UNAVAILABLE", True)
        assert (await socket.receive()).type is WSMsgType.CLOSE
        assert socket.close_code == 1013
