"""Linear, as the daemon sees it: one node asks for comments again and again, and any node is told
of new ones in between."""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec
from aiohttp import web

from channels.guesses import Guesses
from channels.linear import queries, webhook
from channels.linear.api import Api
from channels.linear.comments import CHANNEL, context_of
from channels.linear.outgoing import Pen
from channels.linear.reading import Reader
from channels.linear.settings import LinearSettings
from channels.live import Live
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
    AccountRefused,
    DeliveryFailure,
    NotSent,
    Refused,
    Unauthorised,
    Unavailable,
)
from opencraw.events import Event

log = logging.getLogger(__name__)

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 15.0
_PATIENCE = 3
_ISSUE = re.compile(r"[A-Za-z0-9-]{1,64}")


class Linear:
    """One account of one workspace."""

    def __init__(self, settings: LinearSettings) -> None:
        self._settings = settings
        self._api = Api(settings)
        self._pen = Pen(self._api, settings.max_message_chars)
        #: Beats when Linear has answered what we ask for comments.
        pause = settings.poll_interval_ms / 1000
        self.pulse = Pulse(pause + settings.request_seconds * _PATIENCE)
        self._reader = Reader(self._api, self._pen, settings, self.pulse.beat)
        self._gateway: Gateway | None = None
        self._guesses = Guesses()
        self._live: Live | None = None

    @property
    def idempotent(self) -> bool:
        """Every comment and every activity has an id of ours, which Linear takes once."""
        return True

    @property
    def powers(self) -> frozenset[Power]:
        """Reactions, and drafts if they are wanted. Linear shows nobody typing."""
        drafts = {Power.DRAFTS} if self._settings.drafts else set()
        return frozenset({Power.REACTIONS, *drafts})

    async def attend(self, gateway: Gateway) -> None:
        """Show the turns that run here, and take Linear's calls, until cancelled."""
        interval = self._settings.draft_interval_ms / 1000 if self._settings.drafts else math.inf
        live = Live(
            lambda address: _Thread(self._pen, address),
            interval=lambda _: interval,
            shown=gateway.draft_shown,
            known=gateway.draft_of,
        )
        async with self._api.open():
            self._gateway, self._live = gateway, live
            try:
                await live.run()
            finally:
                self._gateway = self._live = None

    async def run(self, gateway: Gateway) -> None:
        """Poll until cancelled, or until Linear wants no questions for some time."""
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._reader.poll(gateway)
            except (DeliveryFailure, Unavailable) as trouble:
                log.warning("asking for comments: %s", trouble)
                if isinstance(trouble, NotSent) and trouble.retry_after is not None:
                    # Nothing is heard meanwhile, so nobody is to believe that the channel runs.
                    raise Unavailable(str(trouble), retry_after=trouble.retry_after) from trouble
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            pause = _FIRST_PAUSE
            await asyncio.sleep(self._settings.poll_interval_ms / 1000)

    async def send(self, delivery: Delivery, sent: PartSent) -> None:
        """Write the parts that are not there yet; the first may be what the draft becomes."""
        if self._live is not None:
            delivery = await self._live.last(delivery)
        await self._pen.deliver(delivery, sent)

    def draft(self, address: Address, event: Event) -> None:
        """Draw it when its time comes."""
        if self._live is not None:
            self._live.show(address, event)

    async def edit(self, address: Address, platform_id: str, text: str) -> None:
        """Change a comment of ours."""
        try:
            await self._pen.change(platform_id, text)
        except AccountRefused as refused:
            raise NotSent(str(refused)) from refused

    async def fetch(self, attachment: Attachment, limit: int) -> bytes:
        """A file from a comment."""
        return await self._api.fetch(attachment.source, limit)

    async def probe(self) -> Mapping[str, str]:
        """Whose key it is."""
        try:
            answer = await self._api.ask(queries.VIEWER)
        except DeliveryFailure as failure:
            raise Unavailable(str(failure)) from failure
        viewer, organization = answer["viewer"], answer["organization"]
        return {
            "account": viewer["id"],
            "name": viewer["displayName"] or viewer["name"],
            "workspace": organization["name"],
        }

    def address(self, recipient: str) -> Address:
        """A new thread below the issue of this id, as in "ENG-12"."""
        if _ISSUE.fullmatch(recipient) is None:
            raise Refused('An issue has an id such as "ENG-12".', code="INVALID_FIELD")
        return Address(CHANNEL, "", recipient)

    def routes(self) -> Sequence[Route]:
        """Where Linear tells what is new, if it was told a secret to sign with."""
        if self._settings.webhook_secret is None:
            return ()
        return (Route("POST", f"{CALLED_AT}/linear/webhook", self._told, public=True),)

    async def _told(self, request: web.Request) -> web.Response:
        secret, body = self._settings.webhook_secret, await request.read()
        assert secret is not None
        try:
            webhook.check(secret.get_secret_value(), request.headers, body)
        except Unauthorised:
            self._guesses.note(request)
            raise
        gateway = self._gateway
        if gateway is None:
            raise Unavailable("The channel is not running at the moment; send it again.")
        try:
            await self._take(gateway, body)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            await gateway.quarantine(CHANNEL, "", body.decode("utf-8", "replace"), str(error))
        except (DeliveryFailure, AccountRefused) as failure:
            raise Unavailable(f"Linear does not answer our questions: {failure}") from failure
        return web.json_response({"status": "ok"})

    async def _take(self, gateway: Gateway, body: bytes) -> None:
        match webhook.read(body, await self._reader.me(), time.time()):
            case webhook.Look(comment, updated):
                await self._reader.look_at(gateway, comment, updated)
            case webhook.Gone(address, comment):
                await gateway.retract(address, comment)
            case webhook.Liked(reaction):
                await gateway.react(reaction)
            case webhook.Prompted(envelope, issue):
                await self._reader.prompted(gateway, envelope, issue)


class _Thread:
    """One thread, in which an answer grows."""

    stays = True
    idempotent = True

    def __init__(self, pen: Pen, address: Address) -> None:
        self._pen = pen
        self._address = address

    async def put(self, turn_id: UUID, text: str, reply_context: str) -> str:
        session = context_of(reply_context).session
        return await self._pen.draft(turn_id, self._address, text, session)

    async def change(self, platform_id: str, text: str) -> None:
        await self._pen.draw(platform_id, text)
