"""A server on a real socket, with facts that a test can dictate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

import aiohttp
from aiohttp import web

from channels.webchat.channel import WebChat
from opencraw.attachments.attachments import Stored
from opencraw.console import Console
from opencraw.contract import Route
from opencraw.control.api import Api
from opencraw.control.channels import ChannelFacts, ChannelsApi
from opencraw.control.connections import Connections
from opencraw.control.deliveries import DeliveriesApi, DeliveriesFacts
from opencraw.control.files import FilesApi
from opencraw.control.memory import MemoryApi
from opencraw.control.server import HttpServer
from opencraw.control.sessions import ChosenModel, Fork, SessionsApi
from opencraw.control.settings import RuntimeSettings, SecuritySettings
from opencraw.errors import NotFound, Refused
from opencraw.memory.memory import Memory
from opencraw.outbox.deliveries import Which

TOKEN = "the-access-token-of-these-tests-0123456789a"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@dataclass
class Dictated:
    """Facts as a test dictates them."""

    problems: dict[str, str | None] = field(default_factory=lambda: {"database": None})
    remarked: dict[str, str] = field(default_factory=dict)
    looks: int = 0
    sent: list[tuple[str, str, str]] = field(default_factory=list)

    async def checks(self) -> Mapping[str, str | None]:
        self.looks += 1
        return dict(self.problems)

    def remarks(self) -> Mapping[str, str]:
        return self.remarked

    async def status(self) -> Mapping[str, object]:
        return {"version": "0.1.0", "model": "demo/demo", "channels": []}

    async def messages(self, limit: int) -> Sequence[Mapping[str, object]]:
        return [{"message_id": str(number)} for number in range(min(limit, 30))]

    async def explain(self, name: str) -> Mapping[str, object]:
        if name == "nobody":
            raise NotFound("No message has this id.")
        return {"message_id": name}

    async def send(self, channel: str, recipient: str, message: str) -> UUID:
        if channel == "nowhere":
            raise NotFound("There is no channel called nowhere.")
        self.sent.append((channel, recipient, message))
        return uuid4()


class NoFiles:
    """Nobody has sent any."""

    async def one(self, file: UUID) -> Stored:
        raise NotFound("There is no such file.")


class Radio:
    """One channel, of which a test may say that its account is refused."""

    def __init__(self) -> None:
        self.refusal: Exception | None = None
        self.state = ("running", "")

    def channels(self) -> Sequence[Mapping[str, object]]:
        return [self.channel("radio")]

    def channel(self, name: str) -> Mapping[str, object]:
        if name == "pigeons":
            raise NotFound(f"There is no channel {name!r} here. Channels: radio")
        counts = {"accepted": 3, "duplicates": 0, "quarantined": 1, "sent": 2, "failed": 0}
        return {
            "name": "radio",
            "state": self.state[0],
            "since": datetime(2026, 11, 21, tzinfo=UTC),
            "detail": self.state[1],
            "next_attempt": None,
            "last_heard": None,
            "last_in": None,
            "last_out": None,
            "counts": {**counts, "refused": {"RATE_LIMITED": 4}},
            "capabilities": {"supports_streaming_deltas": True, "supports_reactions": False},
        }

    async def probe(self, name: str) -> Mapping[str, str]:
        self.channel(name)
        if self.refusal is not None:
            raise self.refusal
        return {"name": "a radio"}

    def happenings(self, name: str, limit: int) -> Sequence[Mapping[str, object]]:
        self.channel(name)
        at = datetime(2026, 11, 21, tzinfo=UTC)
        return [{"at": at, "kind": "warning", "text": "it creaks"}][:limit]

    async def put_aside(self, name: str, limit: int) -> Sequence[Mapping[str, object]]:
        self.channel(name)
        at = datetime(2026, 11, 21, tzinfo=UTC)
        found = {"id": 1, "account": "", "payload": "{", "problem": "no JSON", "received_at": at}
        return [found][:limit]


class NoDeliveries:
    """Everything was delivered."""

    async def listed(
        self, which: Which, channel: str | None, limit: int
    ) -> Sequence[Mapping[str, object]]:
        return []

    async def retry(self, name: str) -> UUID:
        raise Refused("It was sent.", code="CONFLICT_ERROR")

    async def drop(self, name: str) -> UUID:
        raise Refused("It was sent.", code="CONFLICT_ERROR")


class Conversations:
    """Three that nobody may change, as the daemon of a test tells of them."""

    async def sessions(self, limit: int, *, archived: bool) -> Sequence[Mapping[str, object]]:
        return [] if archived else [{"id": str(number)} for number in range(min(limit, 3))]

    async def session(
        self, session: UUID, *, before: int | None, limit: int, whole: bool
    ) -> Mapping[str, object]:
        return {"id": str(session), "asked": [before, limit, whole]}

    async def search(
        self, text: str, *, session: UUID | None, before: datetime | None, limit: int
    ) -> Sequence[Mapping[str, object]]:
        return [{"q": text, "limit": limit}]

    async def take_in(self, document: object, *, more: bool) -> Mapping[str, object]:
        return {"imported": more}

    async def choose_model(self, session: UUID, chosen: ChosenModel) -> Mapping[str, object]:
        raise NotFound("There is no such conversation.")

    async def fork(self, session: UUID, fork: Fork) -> Mapping[str, object]:
        raise Refused("There is one already.", code="CONFLICT_ERROR")

    async def delete(self, session: UUID) -> None:
        raise Refused("An answer is being written.", code="CONFLICT_ERROR")


async def echo(request: web.Request) -> web.StreamResponse:
    """A WebSocket that repeats what it hears."""
    socket = web.WebSocketResponse(protocols=("opencraw.v1",))
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(message.data)
    return socket


async def fail(_request: web.Request) -> web.StreamResponse:
    raise RuntimeError("a secret detail of our insides")


async def wait(_request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


PROBES = (
    Route("GET", "/probe/echo", echo, scope="chat:write"),
    Route("GET", "/probe/fail", fail),
    Route("GET", "/probe/wait", wait),
)


@dataclass
class Served:
    """A running server, a client without a credential, and what the server tells."""

    server: HttpServer
    client: aiohttp.ClientSession
    facts: Dictated

    @property
    def authority(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    @property
    def url(self) -> str:
        return self.server.base_url


def every_route(
    facts: Dictated,
    memory: Memory | None = None,
    *,
    channels: ChannelFacts | None = None,
    deliveries: DeliveriesFacts | None = None,
) -> list[Route]:
    """All routes that a daemon with its built-in channel mounts, and a few for tests."""
    own = (
        Api(facts),
        SessionsApi(Conversations()),
        MemoryApi(memory),
        ChannelsApi(channels or Radio()),
        DeliveriesApi(deliveries or NoDeliveries()),
        FilesApi(NoFiles()),
        Console(),
        WebChat(),
    )
    return [*(route for each in own for route in each.routes()), *PROBES]


@asynccontextmanager
async def serving(
    security: SecuritySettings | None = None,
    runtime: RuntimeSettings | None = None,
    routes: Sequence[Route] = (),
    connections: Connections | None = None,
    memory: Memory | None = None,
    *,
    channels: ChannelFacts | None = None,
    deliveries: DeliveriesFacts | None = None,
) -> AsyncIterator[Served]:
    """Serve every route, and more where a test brings some. Without a memory, memory is off."""
    facts = Dictated()
    server = HttpServer(
        runtime or RuntimeSettings(),
        security or SecuritySettings(),
        port=0,
        routes=[*every_route(facts, memory, channels=channels, deliveries=deliveries), *routes],
        token=TOKEN,
        connections=connections,
    )
    async with server, aiohttp.ClientSession(server.base_url) as client:
        yield Served(server, client, facts)


async def code_of(response: aiohttp.ClientResponse) -> str:
    """The code in an error envelope whose shape is checked on the way."""
    body = await response.json()
    assert set(body) == {"error"}
    error = body["error"]
    assert set(error) == {
        "code",
        "message",
        "category",
        "correlation_id",
        "execution_id",
        "request_id",
        "retry_after_ms",
        "details",
    }
    UUID(error["correlation_id"])
    assert error["message"]
    code = error["code"]
    assert isinstance(code, str)
    return code
