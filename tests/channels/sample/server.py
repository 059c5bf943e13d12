"""A made-up chat platform: one long poll, messages that can be changed, files, and bad days."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.channels.platform import Edit, Fault
from tests.fakes.serving import Service

TOKEN = "sample-token"
BOT = "id of bot"
POLL_SECONDS = 0.5
_HANG_SECONDS = 3600.0

Json = dict[str, Any]


@dataclass
class Message:
    """Something of ours that people see."""

    id: str
    chat: str
    text: str
    key: str
    buttons: list[str] = field(default_factory=list)


@dataclass
class Trouble:
    """What will happen to a message."""

    fault: Fault
    chat: str
    retry_after: float


class SampleServer(Service):
    """Use as `async with`; the tests reach into it."""

    def __init__(self, *, keyed: bool) -> None:
        super().__init__(0, None)
        self._keyed = keyed
        self.updates: list[Json] = []
        #: The order in which they are handed out: events may come more than once.
        self.handed: list[int] = []
        self.confirmed = 0
        self.messages: list[Message] = []
        self.edits: list[tuple[str, Edit]] = []
        self.typed: Counter[str] = Counter()
        self.files: dict[str, bytes] = {}
        self.downloads = 0
        self.troubles: list[Trouble] = []
        self.broken = self.silent = self.revoked = False
        #: For so many seconds nobody is to poll.
        self.peace = 0.0
        self._numbers = itertools.count(1)
        self._news = asyncio.Event()
        self._requests: list[web.Request] = []
        self.app.middlewares.append(self._weather)
        self.app.router.add_get("/updates", self._poll)
        self.app.router.add_post("/messages", self._send)
        self.app.router.add_patch("/messages/{id}", self._change)
        self.app.router.add_post("/typing", self._type)
        self.app.router.add_get("/files/{id}", self._file)

    # What tests do.

    def hand_out(self, *updates: Json) -> None:
        """Add to what a poll finds."""
        for update in updates:
            if update not in self.updates:
                self.updates.append(update)
            self.handed.append(self.updates.index(update))
        self.stir()

    def stir(self) -> None:
        """Wake whoever waits."""
        news, self._news = self._news, asyncio.Event()
        news.set()

    def break_all(self) -> None:
        """Break every connection that waits for us."""
        for request in list(self._requests):
            if request.transport is not None:
                request.transport.abort()

    # What a client sees.

    @web.middleware
    async def _weather(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self._requests.append(request)
        try:
            if self.broken:
                return _broken(request)
            if self.revoked or request.headers.get("authorization") != f"Bearer {TOKEN}":
                return web.json_response({"error": "unknown token"}, status=401)
            response: web.StreamResponse = await handler(request)
            return response
        finally:
            self._requests.remove(request)

    async def _poll(self, request: web.Request) -> web.StreamResponse:
        if self.peace:
            return web.json_response({"retry_after": self.peace}, status=429)
        offset = int(request.query["offset"]) if "offset" in request.query else self.confirmed
        self.confirmed = max(self.confirmed, offset)
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                while self.silent or offset >= len(self.handed):
                    await self._news.wait()
        if self.silent:
            await asyncio.sleep(_HANG_SECONDS)
        found = [self.updates[number] for number in self.handed[offset : offset + 300]]
        return web.json_response({"updates": found, "next": offset + len(found)})

    async def _send(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        trouble = None if body.get("draft") else self._trouble(body["chat"])
        match trouble and trouble.fault:
            case Fault.RATE_LIMITED:
                assert trouble is not None
                wish = {"retry_after": trouble.retry_after}
                return web.json_response(wish, status=429)
            case Fault.SERVER_ERROR:
                return web.json_response({"error": "not today"}, status=503)
            case Fault.REFUSED:
                return web.json_response({"error": "no such chat"}, status=403)
        key = body.get("key", "")
        message = next((each for each in self.messages if self._keyed and each.key == key), None)
        if message is None:
            message = Message(f"m{next(self._numbers)}", body["chat"], body["text"], key)
            message.buttons = body.get("buttons", [])
            self.messages.append(message)
            self._note(message)
        if trouble is not None:
            return _broken(request)
        return web.json_response({"id": message.id})

    async def _change(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        for message in self.messages:
            if message.id == request.match_info["id"]:
                trouble = None if body.get("draft") else self._trouble(message.chat)
                if trouble is not None and trouble.fault is Fault.REFUSED:
                    return web.json_response({"error": "no such chat"}, status=403)
                message.text = body["text"]
                self._note(message)
                return web.json_response({"id": message.id})
        return web.json_response({"error": "no such message"}, status=404)

    async def _type(self, request: web.Request) -> web.Response:
        self.typed[(await request.json())["chat"]] += 1
        return web.json_response({})

    async def _file(self, request: web.Request) -> web.Response:
        self.downloads += 1
        data = self.files.get(request.match_info["id"])
        return web.Response(status=404) if data is None else web.Response(body=data)

    def _note(self, message: Message) -> None:
        self.edits.append((message.chat, Edit(time.monotonic(), message.text)))

    def _trouble(self, chat: str) -> Trouble | None:
        for trouble in self.troubles:
            if trouble.chat in ("", chat):
                self.troubles.remove(trouble)
                return trouble
        return None


def _broken(request: web.Request) -> web.StreamResponse:
    """Break the connection; the response that is returned reaches nobody."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
