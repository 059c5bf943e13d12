"""A channel for the made-up platform, and its broken twins: the suite must notice each."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import aiohttp

from channels.live import Live, Surface
from channels.markdown import markdown_parts
from channels.marks import markable
from channels.pacing import Pace, Paces
from channels.receiving import offer, side_by_side, understood
from opencraw.contract import (
    Address,
    Attachment,
    Channel,
    ChannelKind,
    ChatType,
    Delivery,
    Envelope,
    Gateway,
    PartSent,
    Power,
    Pulse,
    Rights,
    Sender,
)
from opencraw.errors import (
    AccountRefused,
    MaybeSent,
    NeverSendable,
    NotFound,
    NotSent,
    Refused,
    Unavailable,
)
from opencraw.events import Event
from opencraw.settings import PlatformSettings, Section

_BOT = "id of bot"
_PAUSE_SECONDS = 0.1
_SILENCE_SECONDS = 2.0
_TYPING_SECONDS = 0.5
Json = dict[str, Any]


class SampleSettings(PlatformSettings):
    """A made-up platform."""

    url: str = ""
    """Where it is."""

    token: str = ""
    """What it knows us by."""

    keyed: bool = False
    """Whether it recognises a second copy."""

    interval: float = 1.0
    """Seconds between two drafts."""

    limit: int = 200
    """How many characters a message holds."""

    mutant: str = ""
    """What this channel gets wrong."""


class _Page:
    """One chat, as drafts are drawn on it."""

    stays, idempotent = True, False

    def __init__(self, channel: Sample, address: Address) -> None:
        self._channel = channel
        self._chat = address.chat

    async def put(self, turn_id: UUID, text: str, reply_context: str) -> str:
        body = {"chat": self._chat, "text": self._cut(text), "draft": True}
        return str((await self._channel.ask("POST", "/messages", body))["id"])

    async def change(self, platform_id: str, text: str) -> None:
        body = {"text": self._cut(text), "draft": True}
        await self._channel.ask("PATCH", f"/messages/{platform_id}", body)

    async def type(self) -> None:
        await self._channel.ask("POST", "/typing", {"chat": self._chat})

    def _cut(self, text: str) -> str:
        return markdown_parts(text, self._channel.settings.limit)[0]


class Sample:
    """Polls, sends, edits and fetches."""

    def __init__(self, settings: SampleSettings) -> None:
        self.settings = settings
        self.pulse = Pulse(_SILENCE_SECONDS)
        self._paces = Paces(lambda: Pace(100.0, 20))
        self._live: Live | None = None

    @property
    def idempotent(self) -> bool:
        """As the platform is."""
        return self.settings.keyed

    @property
    def powers(self) -> frozenset[Power]:
        """It draws."""
        return frozenset({Power.DRAFTS, Power.TYPING})

    async def run(self, gateway: Gateway) -> None:
        """Poll until cancelled."""
        noted = await gateway.cursor("sample", "")
        offset = int(noted) if noted is not None else None
        while True:
            path = "/updates" if offset is None else f"/updates?offset={offset}"
            try:
                answer = await self.ask("GET", path)
            except (NotSent, MaybeSent) as trouble:
                if isinstance(trouble, NotSent) and trouble.retry_after is not None:
                    raise Unavailable(str(trouble), retry_after=trouble.retry_after) from trouble
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            self.pulse.beat()
            envelopes = [
                envelope
                for update in answer["updates"]
                if (envelope := await self._heard(gateway, update)) is not None
            ]
            if self.settings.mutant == "acknowledges early":
                await self.ask("GET", f"/updates?offset={answer['next']}&timeout=0")
            await side_by_side(envelopes, lambda said: said.address, partial(offer, gateway))
            offset = answer["next"]
            await gateway.move_cursor("sample", "", str(offset))

    async def attend(self, gateway: Gateway) -> None:
        """Draw until cancelled, on every node."""
        self._live = Live(
            self._page,
            interval=lambda _: self.settings.interval,
            typing_seconds=_TYPING_SECONDS,
            shown=gateway.draft_shown,
            known=gateway.draft_of,
        )
        await self._live.run()

    def _page(self, address: Address) -> Surface:
        return _Page(self, address)

    async def _heard(self, gateway: Gateway, update: Json) -> Envelope | None:
        """What a poll brought, unless it was no message."""
        if self.settings.mutant == "understands everything":
            return _envelope(update)
        envelope = await understood(gateway, "sample", "", update, lambda: _envelope(update))
        if envelope is None or (
            envelope.sender.id == _BOT and self.settings.mutant != "answers itself"
        ):
            return None
        if update["kind"] == "edited":
            await gateway.amend(envelope)
            return None
        if update["kind"] == "deleted":
            await gateway.retract(envelope.address, envelope.platform_id, envelope.sender.id)
            return None
        return envelope

    def draft(self, address: Address, event: Event) -> None:
        """Draw, if there is time."""
        if self._live is not None:
            self._live.show(address, event)

    async def send(self, delivery: Delivery, sent: PartSent) -> None:
        """Hand over a message in parts; the draft becomes the first one, if there is a draft."""
        if self._live is not None:
            delivery = await self._live.last(delivery)
        draft = delivery.draft or ""
        if self.settings.mutant == "forgets its draft":
            draft = ""
        parts = markable(delivery.line.text, self.settings.limit, markdown_parts, operator.add)
        for number, part in enumerate(parts):
            if number < len(delivery.parts):
                continue
            first = number == len(delivery.parts)
            marked = delivery.recovered and first and not self.settings.keyed
            text = part.copy if marked and self._honest else part.text
            await self._paces.of(delivery.address.chat).wait()
            await sent(await self._hand_over(delivery, number, text, draft))

    @property
    def _honest(self) -> bool:
        return self.settings.mutant != "sends again without a word"

    async def _hand_over(self, delivery: Delivery, number: int, text: str, draft: str) -> str:
        if number == 0 and draft:
            try:
                return str((await self.ask("PATCH", f"/messages/{draft}", {"text": text}))["id"])
            except NotFound:
                pass  # somebody deleted the draft; the answer is sent as any other
        body = {
            "chat": delivery.address.chat,
            "text": text,
            "key": f"{delivery.delivery_id}:{number}" if self._honest else str(uuid4()),
        }
        return str((await self.ask("POST", "/messages", body))["id"])

    async def fetch(self, attachment: Attachment, limit: int) -> bytes:
        """One file."""
        async with self._answer("GET", f"/files/{attachment.source}", None) as response:
            if response.status == 404:
                raise NotFound("the platform does not have that file any more")
            if response.status != 200:
                raise Unavailable(f"the platform answers {response.status} for a file")
            data = await response.content.read(limit + 1)
        if len(data) > limit:
            raise Refused(f"a file has more than {limit} bytes")
        return data

    async def ask(self, method: str, path: str, body: Json | None = None) -> Json:
        """What the platform answers, or the `DeliveryFailure` that its answer means."""
        async with self._answer(method, path, body) as response:
            answer: Json = await response.json()
        match response.status:
            case 200:
                return answer
            case 401:
                raise AccountRefused(
                    "sample: the token is unknown. Put a new one into the settings."
                )
            case 404:
                raise NotFound(f"{path} is not there")
            case 429:
                raise NotSent("too many messages", retry_after=answer["retry_after"])
            case status if status >= 500:
                raise NotSent(f"status {status}")
            case status:
                raise NeverSendable(f"status {status}")

    @asynccontextmanager
    async def _answer(
        self, method: str, path: str, body: Json | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        url = f"{self.settings.url}{path}"
        headers = {"Authorization": f"Bearer {self.settings.token}"}
        try:
            async with aiohttp.request(method, url, json=body, headers=headers) as response:
                yield response
        except aiohttp.ClientConnectorError as error:
            raise NotSent(str(error)) from error
        except (aiohttp.ClientError, OSError) as error:
            raise MaybeSent(str(error) or type(error).__name__) from error


def _envelope(update: Json) -> Envelope:
    chat = str.strip(update["chat"])
    return Envelope(
        address=Address("sample", "", chat),
        sender=Sender(update["from"]["id"], update["from"]["name"], Rights.GUEST),
        text=update["text"],
        dedupe_key=update["key"],
        correlation_id=uuid4(),
        chat_type=ChatType.GROUP if chat.startswith("#") else ChatType.DIRECT,
        attachments=tuple(
            Attachment(file["name"], file["type"], file["id"], file["size"])
            for file in update["files"]
        ),
        addressed=update["mention"],
        platform_id=update["key"],
    )


def register() -> ChannelKind:
    """Return how the daemon opens this channel."""
    return ChannelKind(settings=SampleSettings, open=_open, one_receiver=True)


def _open(settings: Section) -> Channel:
    assert isinstance(settings, SampleSettings)
    return Sample(settings)
