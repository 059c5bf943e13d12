"""A bridge between the HTTP channel and a platform in memory, as docs/http-channel.md has it.

Every request must be signed and be exactly what the page says; anything else is answered 400 and
noted in `objections`. What goes wrong with a message that we are sent is told by `faults`.
"""

from __future__ import annotations

import asyncio
import hmac
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from io import BytesIO
from typing import Any, Literal

import aiohttp
import msgspec
from aiohttp import web

from tests.fakes.serving import Service

SECRET = "a secret of both sides, in tests"
HOLDS_SECONDS = 1.0
_LOOK_AGAIN_SECONDS = 0.02


class _Shape(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, tag_field="kind"):
    pass


class _Choice(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    options: list[dict[str, str]]


class Sent(_Shape, tag="message"):
    delivery_id: str
    part: int
    parts: int
    chat: str
    thread: str
    reply_to: str
    text: str
    recovered: bool
    draft: str
    choice: _Choice | None


class Edited(_Shape, tag="edit"):
    chat: str
    thread: str
    id: str
    text: str


class Whispered(_Shape, tag="whisper"):
    event: str
    text: str


class Probed(_Shape, tag="probe"):
    pass


class Drafted(_Shape, tag="draft"):
    chat: str
    thread: str
    draft: str
    text: str


class Typing(_Shape, tag="typing"):
    chat: str
    thread: str


Taken = Sent | Edited | Whispered | Probed | Drafted | Typing


@dataclass
class Shown:
    """One message of ours, as people see it."""

    id: str
    chat: str
    text: str
    body: Sent | None = None
    #: Every text it had, and when.
    history: list[tuple[float, str]] = field(default_factory=list)


@dataclass
class Trouble:
    """What happens to the next message that is sent."""

    kind: Literal["rate_limited", "server_error", "lost_answer", "refused"]
    chat: str = ""
    retry_after: float = 0.5
    #: How a wish to wait is written: in "seconds" or as a "date".
    shape: str = "seconds"


class Bridge(Service):
    """Use as `async with Bridge() as bridge:`. It is asked for what people said, or calls itself
    where `push_to` names a daemon."""

    def __init__(self) -> None:
        super().__init__(0, None)
        self.push_to = ""
        self.events: list[dict[str, Any]] = []
        self.messages: list[Shown] = []
        #: When each event first went out to a poll.
        self.handed_out: dict[str, float] = {}
        self.faults: list[Trouble] = []
        self.objections: list[str] = []
        self.typed: Counter[str] = Counter()
        self.whispers: dict[str, str] = {}
        self.files: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        self.downloads = 0
        #: It shows a second copy, too.
        self.forgetful = False
        self.revoked = False
        self.silent = False
        #: Whose whispers came, whether they were answered or not.
        self.whispered: list[str] = []
        self.holds_whispers = False
        #: For so many seconds nobody is to poll.
        self.peace = 0.0
        #: Where somebody begins who polls for the first time.
        self.now = 0
        self._epoch = 0
        self._keys: dict[str, str] = {}
        self._transports: set[asyncio.Transport] = set()
        self.app.middlewares.append(self._signed)
        self.app.router.add_post("/send", self._take)
        self.app.router.add_post("/stream", self._take)
        self.app.router.add_get("/poll", self._poll)
        self.app.router.add_get("/files/{name}", self._file)

    # What people do.

    def publish(self, *events: dict[str, Any]) -> None:
        """Hand out events to whoever polls."""
        self.events.extend(events)

    async def push(self, body: object, **headers: str) -> tuple[int, Any]:
        """Call the daemon; its status and answer."""
        encoded = body if isinstance(body, bytes) else msgspec.json.encode(body)
        signed = {**signature(encoded), "Content-Type": "application/json", **headers}
        async with aiohttp.request(
            "POST",
            f"{self.push_to}/api/v1/os/channels/http/events",
            data=BytesIO(encoded),
            headers=signed,
        ) as response:
            return response.status, await response.json()

    def rewind(self) -> None:
        """Forget what was acknowledged."""
        self._epoch += 1

    async def disconnect(self) -> None:
        """Break all connections and take no new ones."""
        for site in list(self._runner.sites):
            await site.stop()
        for transport in self._transports:
            transport.abort()

    async def reconnect(self) -> None:
        """All is well again."""
        self.revoked = self.silent = False
        if not self._runner.sites:
            await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    def shown(self, chat: str) -> list[Shown]:
        """What people see of us."""
        return [each for each in self.messages if each.chat == chat]

    # What the daemon does.

    @web.middleware
    async def _signed(
        self, request: web.Request, handler: Callable[[web.Request], Any]
    ) -> web.StreamResponse:
        if request.transport is not None:
            self._transports.add(request.transport)
        body = await request.read() or request.raw_path.encode()
        timestamp = request.headers.get("X-OpenCraw-Timestamp", "0")
        if self.revoked or not hmac.compare_digest(
            request.headers.get("X-OpenCraw-Signature", ""), _hmac(timestamp, body)
        ):
            return web.json_response({"error": "wrong signature"}, status=401)
        if abs(time.time() - int(timestamp)) > 300:
            self.objections.append("an old timestamp")
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _poll(self, request: web.Request) -> web.Response:
        if self.peace:
            return web.Response(status=429, headers={"Retry-After": str(self.peace)})
        if "cursor" not in request.query:
            # Some bridges hand out what they have, whoever asks.
            old = self.events[: self.now]
            return web.json_response({"events": old, "cursor": f"{self._epoch}-{self.now}"})
        epoch, _, place = request.query["cursor"].partition("-")
        start = int(place)
        until = time.monotonic() + HOLDS_SECONDS
        while self.silent or (
            time.monotonic() < until and start >= len(self.events) and epoch == str(self._epoch)
        ):
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        if epoch != str(self._epoch):
            start = 0
        events = self.events[start : start + 100]
        for event in events:
            self.handed_out.setdefault(str(event.get("id")), time.monotonic())
        return web.json_response(
            {"events": events, "cursor": f"{self._epoch}-{start + len(events)}"}
        )

    async def _take(self, request: web.Request) -> web.StreamResponse:
        try:
            body = msgspec.json.decode(await request.read(), type=Taken)
        except msgspec.MsgspecError as error:
            self.objections.append(str(error))
            return web.json_response({"error": str(error)}, status=400)
        match body:
            case Sent():
                return self._message(request, body)
            case Edited():
                self._show(body.chat, body.text, body.id)
            case Drafted():
                return self._draft(request, body)
            case Whispered():
                self.whispered.append(body.event)
                while self.holds_whispers:
                    await asyncio.sleep(_LOOK_AGAIN_SECONDS)
                self.whispers[body.event] = body.text
            case Typing():
                self.typed[body.chat] += 1
            case Probed():
                pass
        return web.json_response({})

    def _draft(self, request: web.Request, body: Drafted) -> web.StreamResponse:
        key = request.headers.get("Idempotency-Key", "")
        if bool(key) == bool(body.draft):
            self.objections.append(f"the key {key} of the draft {body.draft}")
        known = body.draft if self.forgetful or not key else self._keys.get(key, "")
        shown = self._show(body.chat, body.text, known)
        if key:
            self._keys[key] = shown.id
        return web.json_response({"id": shown.id})

    def _message(self, request: web.Request, body: Sent) -> web.StreamResponse:
        key = request.headers.get("Idempotency-Key", "")
        if key != f"{body.delivery_id}:{body.part}":
            self.objections.append(f"the key {key}")
        fault = next((each for each in self.faults if each.chat in ("", body.chat)), None)
        if fault is not None:
            self.faults.remove(fault)
            if fault.kind != "lost_answer":
                return _refusal(fault)
        if self.forgetful or key not in self._keys:
            self._keys[key] = self._show(body.chat, body.text, body.draft, body).id
        if fault is not None and request.transport is not None:
            request.transport.abort()
        return web.json_response({"id": self._keys[key]})

    def _show(self, chat: str, text: str, known: str, body: Sent | None = None) -> Shown:
        shown = next((each for each in self.messages if known and each.id == known), None)
        if shown is None:
            if known:
                self.objections.append(f"there is no message {known}")
            shown = Shown(f"m{len(self.messages) + 1}", chat, text)
            self.messages.append(shown)
        shown.text, shown.body = text, body or shown.body
        shown.history.append((time.monotonic(), text))
        return shown

    async def _file(self, request: web.Request) -> web.Response:
        self.downloads += 1
        name = request.match_info["name"]
        if name in self.redirects:
            raise web.HTTPFound(self.redirects[name])
        data = self.files.get(name)
        return web.Response(status=404) if data is None else web.Response(body=data)


def signature(body: bytes, at: float | None = None, secret: str = SECRET) -> dict[str, str]:
    """What the header of a request that a bridge signs says."""
    timestamp = str(int(time.time() if at is None else at))
    return {
        "X-OpenCraw-Timestamp": timestamp,
        "X-OpenCraw-Signature": _hmac(timestamp, body, secret),
    }


def _hmac(timestamp: str, body: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, "sha256").hexdigest()


def _refusal(fault: Trouble) -> web.Response:
    status = {"rate_limited": 429, "server_error": 500, "refused": 400}[fault.kind]
    headers = {}
    if fault.kind == "rate_limited":
        date = formatdate(math.ceil(time.time() + fault.retry_after), usegmt=True)
        headers["Retry-After"] = date if fault.shape == "date" else str(fault.retry_after)
    # What stands in front of a bridge says it in HTML.
    headers["Content-Type"] = "text/html"
    return web.Response(status=status, text="<html>no</html>", headers=headers)
