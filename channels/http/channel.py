"""Any platform, attached over HTTP in any language, as the daemon sees it.

Its platform is a bridge: a program that somebody else wrote, in any language, which tells us what
people say and shows them what we answer. docs/http-channel.md is its side of the contract.
"""

from __future__ import annotations

import asyncio
import logging
import math
import operator
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from aiohttp import web

from channels.guesses import Guesses
from channels.http.bridge import POLL_GRACE, Bridge
from channels.http.events import CHANNEL, UNREADABLE, batch
from channels.http.receiving import Outcome, take_all
from channels.http.settings import HttpSettings
from channels.http.signing import check, fresh
from channels.live import Live
from channels.markdown import markdown_parts
from channels.marks import Part, markable
from channels.receiving import SHORT_WISH, lasting
from opencraw.contract import (
    CALLED_AT,
    Address,
    Attachment,
    Delivery,
    Gateway,
    PartSent,
    Power,
    Pulse,
    Route,
)
from opencraw.errors import (
    DeliveryFailure,
    NeverSendable,
    NotFound,
    Refused,
    Unauthorised,
    Unavailable,
)
from opencraw.events import Event

log = logging.getLogger(__name__)

_TYPING_SECONDS = 5.0
_LONGEST_PAUSE = 15.0
#: Nothing is polled meanwhile.
_WHISPER_SECONDS = 10.0
_LONGEST_NAME = 128


class Http:
    """The channel of a bridge that calls us."""

    def __init__(self, settings: HttpSettings) -> None:
        assert settings.secret is not None
        self._settings = settings
        self._secret = settings.secret.get_secret_value()
        self._bridge = Bridge(settings)
        self._gateway: Gateway | None = None
        self._guesses = Guesses()

    @property
    def idempotent(self) -> bool:
        """As the operator says: each part has an Idempotency-Key."""
        return self._settings.idempotent

    @property
    def powers(self) -> frozenset[Power]:
        """What a bridge may tell of, or be told."""
        return frozenset({Power.REACTIONS})

    async def attend(self, gateway: Gateway) -> None:
        """Answer the bridge until cancelled."""
        self._gateway = gateway
        try:
            await self._show(gateway)
        finally:
            self._gateway = None

    async def _show(self, _gateway: Gateway) -> None:
        await asyncio.Event().wait()

    async def run(self, _gateway: Gateway) -> None:
        """Wait until cancelled: whatever comes, the bridge calls with it."""
        await asyncio.Event().wait()

    async def send(self, delivery: Delivery, sent: PartSent) -> None:
        """Hand over the parts that are not there yet."""
        delivery = await self._last(delivery)
        parts = _parts(delivery.line.text, self._settings.max_message_chars)
        done = len(delivery.parts)
        for number, part in enumerate(parts[done:], start=done + 1):
            becomes = (delivery.draft or "") if number == 1 else ""
            again = delivery.recovered and not self.idempotent and number == done + 1
            body = {
                "kind": "message",
                "delivery_id": str(delivery.delivery_id),
                "part": number,
                "parts": len(parts),
                **_place(delivery.address),
                "reply_to": delivery.reply_context,
                # A draft that becomes the same text once more shows nothing twice.
                "text": part.copy if again and not becomes else part.text,
                "recovered": again,
                "draft": becomes,
                "choice": delivery.choice if number == len(parts) else None,
            }
            await sent(await self._bridge.send(body, key=f"{delivery.delivery_id}:{number}"))

    async def _last(self, delivery: Delivery) -> Delivery:
        """It, with the draft of the turn that it ends; no more of that is drawn."""
        return delivery

    async def edit(self, address: Address, platform_id: str, text: str) -> None:
        """Have the bridge change what it showed."""
        body = {"kind": "edit", **_place(address), "id": platform_id, "text": text}
        await self._bridge.send(body)

    async def fetch(self, attachment: Attachment, limit: int) -> bytes:
        """A file of the bridge's own address; what was handed over too large is nowhere."""
        if not attachment.source:
            raise NotFound("The file was too large to be kept.")
        return await self._bridge.fetch(attachment.source, limit)

    async def probe(self) -> Mapping[str, str]:
        """Whether the bridge is there, and takes our signature."""
        return await self._bridge.greet()

    def address(self, recipient: str) -> Address:
        """The chat of this id."""
        if not recipient.isprintable() or not 0 < len(recipient) <= _LONGEST_NAME:
            raise Refused(
                f"A chat has an id of 1 to {_LONGEST_NAME} printable characters.",
                code="INVALID_FIELD",
            )
        return Address(CHANNEL, "", recipient)

    def routes(self) -> Sequence[Route]:
        """Where the bridge tells what people said; its signature says who it is."""
        return (Route("POST", f"{CALLED_AT}/http/events", self._events, public=True),)

    async def _events(self, request: web.Request) -> web.Response:
        # Neither is a body read that cannot be signed, nor one understood that is not.
        fresh(request.headers, time.time())
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType
        body = await request.read()
        try:
            check(self._secret, request.headers, body, time.time())
        except Unauthorised:
            self._guesses.note(request)
            raise
        gateway = self._gateway
        if gateway is None:
            raise Unavailable("The channel is not running at the moment; send it again.")
        try:
            events = batch(body)
        except UNREADABLE as error:
            raise Refused(f"The body is no list of events: {error}.") from None
        outcomes = await self._take_all(gateway, events)
        if outcomes and all(each.status == "invalid" for each in outcomes):
            raise Refused(f"{outcomes[0].reason}; correct it.", code="INVALID_FIELD")
        return _json(outcomes)

    async def _take_all(self, gateway: Gateway, events: Iterable[bytes]) -> list[Outcome]:
        return await take_all(gateway, events, self._settings.attachments.max_per_message)


class Polls(Http):
    """… of a bridge that has to be asked."""

    def __init__(self, settings: HttpSettings) -> None:
        super().__init__(settings)
        #: Beats when a poll comes back.
        pause = settings.poll_interval_ms / 1000
        self.pulse = Pulse(pause + settings.long_poll_timeout_seconds * POLL_GRACE)

    async def run(self, gateway: Gateway) -> None:
        """Poll until cancelled, or until the bridge wants no questions for some time."""
        pause = 0.0
        while True:
            try:
                came = await self._poll(gateway)
            except Unavailable as away:
                if away.retry_after > SHORT_WISH:
                    raise
                log.warning("%s", away)
                pause = min(max(away.retry_after, pause * 2), _LONGEST_PAUSE)
                await asyncio.sleep(pause)
                continue
            pause = 0.0
            await asyncio.sleep(0 if came else self._settings.poll_interval_ms / 1000)

    async def _poll(self, gateway: Gateway) -> int:
        cursor = await lasting(partial(gateway.cursor, CHANNEL, ""))
        polled = await self._bridge.poll(cursor)
        self.pulse.beat()
        # Without a cursor we asked where now is: what was before is nobody's business.
        events = [bytes(each) for each in polled.events] if cursor is not None else []
        outcomes = await lasting(partial(self._take_all, gateway, events))
        if polled.cursor == cursor:
            events = []
        else:
            await lasting(partial(gateway.move_cursor, CHANNEL, "", polled.cursor))
        # Nothing hangs on them: a bridge that does not take one gets no event twice for that.
        await asyncio.gather(*(self._whisper(each) for each in outcomes if each.text))
        return len(events)

    async def _whisper(self, outcome: Outcome) -> None:
        """Say to somebody who pressed a button what came of it, as the answer to a call would."""
        body = {"kind": "whisper", "event": outcome.id, "text": outcome.text}
        try:
            async with asyncio.timeout(_WHISPER_SECONDS):
                await self._bridge.send(body)
        except (DeliveryFailure, TimeoutError) as failure:
            log.warning("somebody is not told what came of a choice: %r", failure)


class Shows(Http):
    """… of a bridge that shows answers while they grow."""

    def __init__(self, settings: HttpSettings) -> None:
        super().__init__(settings)
        self._live: Live | None = None

    @property
    def powers(self) -> frozenset[Power]:
        """Reactions, drafts, and typing if it is wanted."""
        typing = {Power.TYPING} if self._settings.typing else set()
        return super().powers | {Power.DRAFTS, *typing}

    def draft(self, address: Address, event: Event) -> None:
        """Draw it when its time comes."""
        if self._live is not None:
            self._live.show(address, event)

    async def _show(self, gateway: Gateway) -> None:
        self._live = live = Live(
            lambda address: _Drafts(self._bridge, self._settings, address),
            interval=lambda _: self._settings.draft_interval_ms / 1000,
            typing_seconds=_TYPING_SECONDS if self._settings.typing else math.inf,
            shown=gateway.draft_shown,
            known=gateway.draft_of,
        )
        try:
            await live.run()
        finally:
            self._live = None

    async def _last(self, delivery: Delivery) -> Delivery:
        if self._live is not None:
            delivery = await self._live.last(delivery)
        if delivery.draft is not None or delivery.ends is None or not self.idempotent:
            return delivery
        # By its key the bridge knows the draft of which we know nothing, or makes one.
        drafts = _Drafts(self._bridge, self._settings, delivery.address)
        try:
            draft = await drafts.put(delivery.ends, delivery.line.text, delivery.reply_context)
        except NeverSendable as refused:
            log.warning("a draft that may be there is left alone: %s", refused)
            draft = ""
        return msgspec.structs.replace(delivery, draft=draft)


class PollsAndShows(Shows, Polls):
    """… of a bridge that does both."""


class _Drafts:
    """One chat, on which an answer grows."""

    stays = True

    def __init__(self, bridge: Bridge, settings: HttpSettings, address: Address) -> None:
        self._bridge = bridge
        self._limit = settings.max_message_chars
        self.idempotent = settings.idempotent
        self._address = address

    async def put(self, turn_id: UUID, text: str, reply_context: str) -> str:
        return await self._draw(text, "", key=f"{turn_id}:draft")

    async def change(self, platform_id: str, text: str) -> None:
        await self._draw(text, platform_id)

    async def type(self) -> None:
        await self._bridge.stream({"kind": "typing", **_place(self._address)})

    async def _draw(self, text: str, draft: str, *, key: str = "") -> str:
        # The beginning is what the first part of the answer will be.
        shown = [part.text for part in _parts(text, self._limit)[:1]]
        body: dict[str, Any] = {"kind": "draft", **_place(self._address), "draft": draft}
        return await self._bridge.stream({**body, "text": "".join(shown)}, key=key)


def _parts(text: str, limit: int) -> Sequence[Part[str]]:
    return markable(text, limit, markdown_parts, operator.add)


def _place(address: Address) -> dict[str, str]:
    return {"chat": address.chat, "thread": address.thread}


def _json(outcomes: Sequence[Outcome]) -> web.Response:
    body = msgspec.json.encode({"results": outcomes})
    return web.Response(body=body, content_type="application/json")
