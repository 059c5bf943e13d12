"""Discord, as the daemon sees it."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping
from datetime import UTC, datetime

from channels.discord import failures, files
from channels.discord.inbound import NAME, Us
from channels.discord.intake import Intake
from channels.discord.interactions import list_commands
from channels.discord.line import Line
from channels.discord.outbound import Outbound
from channels.discord.places import Places
from channels.discord.rest import Rest
from channels.discord.settings import DiscordSettings
from channels.live import Live
from opencraw.contract import (
    Address,
    Attachment,
    ChatType,
    Delivery,
    Gateway,
    Listener,
    PartSent,
    Power,
    Pulse,
    Rights,
    Sender,
)
from opencraw.errors import AccountRefused, NotSent, Refused, Unavailable
from opencraw.events import Event

log = logging.getLogger(__name__)

#: After so long without a sign of life the connection is made anew. Discord gives one every 41 s
#: and when it is asked.
SILENCE_SECONDS = 45.0
#: Discord shows for ten seconds that somebody is typing.
_TYPING_SECONDS = 8.0
#: Without a token nothing can be sent; an operator has to bring one.
_NO_TOKEN_SECONDS = 60.0


class Discord:
    """One bot on Discord."""

    def __init__(self, settings: DiscordSettings) -> None:
        self._settings = settings
        self._rest = Rest(settings)
        self._places = Places(self._rest)
        self._outbound = Outbound(self._rest, self._places)
        self._live: Live | None = None
        self._opened_at = datetime.now(UTC)
        self.pulse = Pulse(SILENCE_SECONDS)

    @property
    def idempotent(self) -> bool:
        """By the key of each part, and after some minutes because we look."""
        return True

    @property
    def powers(self) -> frozenset[Power]:
        """Reactions always; drafts and typing if they are wanted."""
        wanted = {Power.DRAFTS: self._settings.drafts, Power.TYPING: self._settings.typing}
        return frozenset({Power.REACTIONS, *(each for each, on in wanted.items() if on)})

    async def run(self, gateway: Gateway) -> None:
        """Receive until cancelled."""
        me = Us(self._rest.account)
        intake = Intake(
            self._settings, self._rest, gateway, self._places, me, since=self._opened_at
        )
        line = Line(self._settings, self._rest, self.pulse, intake.happened)
        try:
            await intake.prepare()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(intake.run())
                tasks.create_task(line.run())
                tasks.create_task(self._list_commands(gateway))
        finally:
            # The next attempt does without connections that may be dead.
            await self._rest.close()

    async def attend(self, gateway: Gateway) -> None:
        """Show the turns that run here, until cancelled."""
        settings = self._settings
        interval = settings.draft_interval_ms / 1000 if settings.drafts else math.inf
        self._live = live = Live(
            self._outbound.surface,
            interval=lambda _: interval,
            typing_seconds=_TYPING_SECONDS if settings.typing else math.inf,
            shown=gateway.draft_shown,
            known=gateway.draft_of,
        )
        try:
            await live.run()
        finally:
            self._live = None
            # Whoever only sends has opened it, too.
            await self._rest.close()

    async def send(self, delivery: Delivery, sent: PartSent) -> None:
        """Hand one message to Discord, part by part."""
        try:
            # Also if the draft is known: no edit of it may come after what is final.
            if self._live is not None:
                delivery = await self._live.last(delivery)
            await self._outbound.send(delivery, sent)
        except AccountRefused as refused:
            raise NotSent(str(refused), retry_after=_NO_TOKEN_SECONDS) from refused
        except failures.TROUBLE as error:
            raise failures.of_delivery(error) from error

    async def edit(self, address: Address, platform_id: str, text: str) -> None:
        """Have a message say something else, without buttons."""
        try:
            await self._outbound.edit(address, platform_id, text)
        except AccountRefused as refused:
            raise NotSent(str(refused), retry_after=_NO_TOKEN_SECONDS) from refused
        except failures.TROUBLE as error:
            raise failures.of_delivery(error) from error

    def draft(self, address: Address, event: Event) -> None:
        """Take note of what a turn shows."""
        if self._live is not None:
            self._live.show(address, event)

    async def fetch(self, attachment: Attachment, limit: int) -> bytes:
        """The bytes of a file that came with a message."""
        try:
            return await files.fetch(self._rest, self._settings.api_url, attachment, limit)
        except AccountRefused as refused:
            raise Unavailable(str(refused)) from refused

    async def probe(self) -> Mapping[str, str]:
        """Which bot we are, and how many sessions it may still begin today."""
        try:
            user = await self._rest.call("GET", "/users/@me")
            gateway = await self._rest.call("GET", "/gateway/bot")
        except failures.TROUBLE as error:
            raise failures.of_call(error) from error
        limit = gateway["session_start_limit"]
        return {
            "id": str(user["id"]),
            "name": str(user["username"]),
            "sessions_left_today": f"{limit['remaining']} of {limit['total']}",
        }

    def address(self, recipient: str) -> Address:
        """Where a person is, by their id, or a channel of a server, by `#` and its id."""
        number = recipient.removeprefix("#")
        if not number.isascii() or not number.isdecimal() or len(number) > 20:
            raise Refused("On Discord people and channels have numbers: copy the id in its menus.")
        chat = number if recipient.startswith("#") else f"@{number}"
        return Address(NAME, self._rest.account, chat)

    def listener(self, address: Address) -> Listener | None:
        """The person, where messages are direct."""
        if not address.chat.startswith("@"):
            place = self._places.of(address.thread or address.chat)
            return Listener(place.chat_type if place is not None else ChatType.GROUP)
        person = address.chat.removeprefix("@")
        return Listener(ChatType.DIRECT, Sender(person, person, Rights.GUEST))

    async def _list_commands(self, gateway: Gateway) -> None:
        if not self._settings.slash_commands:
            return
        try:
            found = await self._rest.call("GET", "/applications/@me")
            await list_commands(self._rest, str(found["id"]), gateway.commands)
        except failures.TROUBLE as error:
            # Who types them is understood all the same.
            log.warning("discord: our commands are not listed: %s", failures.of_call(error))
