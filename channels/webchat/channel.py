"""WebChat as the daemon sees it: a channel whose platform is our own page and WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterator, Sequence
from uuid import UUID

import msgspec
from aiohttp import web

from channels.webchat import assets
from channels.webchat.connection import OWNER, Connection
from channels.webchat.conversation import Conversation
from channels.webchat.files import Files
from channels.webchat.rendering import Renderer
from opencraw.contract import (
    Address,
    ChatType,
    Delivery,
    Gateway,
    Listener,
    PartSent,
    Power,
    Route,
)
from opencraw.errors import NotFound, NotSent, Refused, Unavailable
from opencraw.events import Event
from opencraw.settings import AttachmentSettings

PROTOCOL = "opencraw.v1"
FRAME_LIMIT = 1_200_000
HEARTBEAT_SECONDS = 20.0
#: How long a reader may take until our goodbye has reached it, behind all that was written before.
GOODBYE_SECONDS = 10.0
#: How long the channel waits for goodbyes when it stops.
STOPPING_SECONDS = 2.0
#: Starting up has other things to do than to load a Markdown parser.
WARM_UP_SECONDS = 1.0
_CHAT = re.compile(r"[a-z0-9_-]{1,64}")


class _Open:
    """What exists while the channel runs."""

    def __init__(self, gateway: Gateway, tasks: asyncio.TaskGroup, files: Files) -> None:
        self.gateway = gateway
        self.files = files
        self.tasks = tasks
        self.renderer = Renderer()
        self.conversations: dict[str, Conversation] = {}
        self.handlers: set[asyncio.Task[object]] = set()

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """Keep the channel from ending before this handler has said goodbye."""
        handler = asyncio.current_task()
        assert handler is not None
        self.handlers.add(handler)
        try:
            yield
        finally:
            self.handlers.discard(handler)

    @contextlib.contextmanager
    def conversation(self, chat: str) -> Iterator[Conversation]:
        """The chat's conversation, which exists as long as somebody uses it."""
        conversation = self.conversations.get(chat)
        if conversation is None:
            address = Address(channel="webchat", account="local", chat=chat)
            conversation = Conversation(
                address, self.gateway.reader, self.renderer.html, files=self.files.limits
            )
            self.conversations[chat] = conversation
            conversation.following = self.tasks.create_task(conversation.follow())
        conversation.users += 1
        try:
            yield conversation
        finally:
            conversation.users -= 1
            if not conversation.users:
                del self.conversations[chat]
                conversation.following.cancel()


class WebChat:
    """The built-in page. Sockets come and go; the transcript has what they missed."""

    def __init__(self, files: AttachmentSettings | None = None) -> None:
        self._files = Files(files or AttachmentSettings())
        self._assets = assets.load()
        self._open: _Open | None = None

    @property
    def idempotent(self) -> bool:
        """A line goes to each socket once, by its `seq`."""
        return True

    @property
    def powers(self) -> frozenset[Power]:
        """Pages show answers while they grow, and that one is on its way."""
        return frozenset({Power.DRAFTS, Power.TYPING})

    async def run(self, gateway: Gateway) -> None:
        """Serve sockets until cancelled, then close them all with 1012."""
        async with asyncio.TaskGroup() as tasks:
            self._open = opened = _Open(gateway, tasks, self._files)
            try:
                await asyncio.sleep(WARM_UP_SECONDS)
                await opened.renderer.warm_up()
                await asyncio.Event().wait()
            finally:
                self._open = None
                for conversation in opened.conversations.values():
                    conversation.close(1012)
                opened.renderer.close()
                if opened.handlers:
                    await asyncio.wait(opened.handlers, timeout=STOPPING_SECONDS)

    async def send(self, delivery: Delivery, sent: PartSent) -> None:
        """Push a reply or notice to whoever has the chat open; the transcript has it anyway."""
        conversation = self._conversation(delivery.address)
        if conversation is not None:
            line = msgspec.structs.replace(delivery.line, choice=delivery.choice)
            try:
                await conversation.deliver(line)
            except Unavailable as unavailable:
                retry_after = unavailable.retry_after
                raise NotSent(str(unavailable), retry_after=retry_after) from unavailable
        if delivery.choice is not None:
            # By this it is called when the choice is made.
            await sent(str(delivery.delivery_id))

    async def edit(self, address: Address, platform_id: str, text: str) -> None:
        """Tell whoever has the chat open; whoever opens it later reads it anyway."""
        conversation = self._conversation(address)
        if conversation is not None:
            await conversation.change(UUID(platform_id), text)

    def show(self, address: Address, event: Event) -> None:
        """Tell whoever has the chat open about a running turn."""
        conversation = self._conversation(address)
        if conversation is not None:
            conversation.show(event)

    def address(self, recipient: str) -> Address:
        """The chat called `recipient`."""
        return Address(channel="webchat", account="local", chat=_chat(recipient))

    def named(self, chat: str) -> Address:
        """The chat of this name: it is there as soon as somebody opens it."""
        return self.address(chat)

    def listener(self, address: Address) -> Listener:
        """The owner, in every chat."""
        return Listener(ChatType.DIRECT, OWNER)

    def routes(self) -> Sequence[Route]:
        """The page, its files, the socket, and where files are handed in."""
        return (
            Route("GET", "/", self._page, public=True),
            Route("GET", "/assets/{name}", self._asset, public=True),
            Route("GET", "/ws", self._socket, scope="chat:write"),
            Route(
                "POST", "/files", self._file, scope="chat:write", largest_file=self._files.largest
            ),
        )

    async def _page(self, request: web.Request) -> web.Response:
        return self._assets["index.html"].respond(request)

    async def _asset(self, request: web.Request) -> web.Response:
        asset = self._assets.get(request.match_info["name"])
        if asset is None:
            raise NotFound("There is no such file.")
        return asset.respond(request)

    async def _file(self, request: web.Request) -> web.Response:
        if self._open is None:
            raise Unavailable("WebChat is not running at the moment; try again.")
        return await self._files.hand_in(request, self._open.gateway)

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        chat = _chat(request.query.get("chat", "main"))
        opened = self._open
        if opened is None:
            raise Unavailable("WebChat is not running at the moment; try again.")
        socket = web.WebSocketResponse(
            timeout=GOODBYE_SECONDS,
            protocols=(PROTOCOL,),
            heartbeat=HEARTBEAT_SECONDS,
            compress=False,
            # The library refuses a frame of exactly this size.
            max_msg_size=FRAME_LIMIT + 1,
        )
        if not socket.can_prepare(request):
            # The page asks like this to learn whether its token is good.
            return web.Response(status=426, headers={"Upgrade": "websocket"})
        await socket.prepare(request)
        with opened.serving(), opened.conversation(chat) as conversation:
            await Connection(socket, conversation, opened.gateway).serve()
        if request.transport is not None:
            # Otherwise a reader who never takes our goodbye would be kept, with all that was
            # written to it before, for as long as it likes.
            loop = asyncio.get_running_loop()
            loop.call_later(GOODBYE_SECONDS, request.transport.abort)
        return socket

    def _conversation(self, address: Address) -> Conversation | None:
        return self._open.conversations.get(address.chat) if self._open else None


def _chat(name: str) -> str:
    if _CHAT.fullmatch(name) is None:
        raise Refused(
            "A chat's name has 1 to 64 characters of a-z, 0-9, - and _.", code="INVALID_FIELD"
        )
    return name
