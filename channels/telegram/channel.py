"""Telegram, as the daemon sees it."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence

from telegram import Bot, BotCommand
from telegram.error import TelegramError

from channels.live import Live
from channels.telegram import failures
from channels.telegram.account import Account, is_group
from channels.telegram.hearing import Hearing
from channels.telegram.polling import Polling
from channels.telegram.settings import TelegramSettings
from channels.telegram.speaking import Speaking
from channels.telegram.surfaces import FADING_SECONDS, TYPING_SECONDS, Surfaces
from channels.telegram.translation import CHANNEL
from channels.telegram.webhook import Calls
from opencraw.contract import (
    Address,
    Attachment,
    ChatType,
    CommandHelp,
    Delivery,
    Gateway,
    Listener,
    PartSent,
    Power,
    Pulse,
    Route,
)
from opencraw.errors import Refused
from opencraw.events import Event

log = logging.getLogger(__name__)

#: What Telegram takes of a command's name, and of the words beside it.
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_")
_LONGEST_NAME = 32
_LONGEST_HELP = 256
_MOST_COMMANDS = 100


class Telegram:
    """One bot."""

    def __init__(self, settings: TelegramSettings) -> None:
        self._settings = settings
        self._account = Account(settings)
        self._speaking = Speaking(self._account, settings)
        self._live: Live | None = None
        self._calls: Calls | None = None
        if settings.webhook_url and settings.webhook_secret is not None:
            secret = settings.webhook_secret.get_secret_value()
            self._calls = Calls(self._account, settings.webhook_url, secret)
        self.pulse = Pulse(settings.patience)

    @property
    def idempotent(self) -> bool:
        """Telegram knows no keys: what is sent twice is there twice."""
        return False

    @property
    def powers(self) -> frozenset[Power]:
        """Reactions always; drafts and typing if they are wanted."""
        wanted = {Power.DRAFTS: self._settings.drafts, Power.TYPING: self._settings.typing}
        return frozenset({Power.REACTIONS, *(each for each, on in wanted.items() if on)})

    async def run(self, gateway: Gateway) -> None:
        """Receive until cancelled. Raises `AccountRefused` and `Unavailable`."""
        # As long as somebody uses it, the client keeps its connections.
        async with self._account.bot() as bot:
            await self._account.introduce()
            await _list_commands(bot, gateway.commands)
            seconds = self._settings.long_poll_timeout_seconds
            if self._calls is not None:
                await self._calls.run(gateway, self.pulse, seconds / 2)
                return
            try:
                await bot.delete_webhook()
            except TelegramError as error:
                raise failures.of_account(error) from error
            hearing = await self._hearing(gateway)
            await Polling(self._account, gateway, self.pulse, seconds).run(hearing)

    async def attend(self, gateway: Gateway) -> None:
        """Show the turns that run here, and take Telegram's calls, until cancelled. Raises
        `AccountRefused` and `Unavailable`."""
        live = self._showing(gateway)
        async with self._account.bot():
            try:
                if self._calls is not None:
                    self._calls.hearing = await self._hearing(gateway)
                self._live = live
                await live.run()
            finally:
                self._live = None
                if self._calls is not None:
                    self._calls.hearing = None

    async def send(self, delivery: Delivery, sent: PartSent) -> None:
        """Say it, beginning with the message that showed the turn while it ran, if one did."""
        if self._live is not None:
            # From here on nothing may be drawn over what is said.
            delivery = await self._live.last(delivery)
        async with self._account.bot():
            await self._speaking.send(delivery, sent)

    async def edit(self, address: Address, platform_id: str, text: str) -> None:
        """Have a message say something else, without buttons."""
        await self._speaking.edit(address, platform_id, text)

    async def fetch(self, attachment: Attachment, limit: int) -> bytes:
        """The bytes of a file that somebody sent."""
        return await self._account.fetch(attachment, limit)

    async def probe(self) -> Mapping[str, str]:
        """Who we are, as Telegram says."""
        return await self._account.introduce()

    def draft(self, address: Address, event: Event) -> None:
        """Take note of what a turn shows."""
        if self._live is not None:
            self._live.show(address, event)

    def routes(self) -> Sequence[Route]:
        """The address that Telegram calls, if it is to call."""
        return self._calls.routes() if self._calls is not None else ()

    def address(self, recipient: str) -> Address:
        """The chat with this id: a person's is their own, a group's is negative."""
        if not recipient.removeprefix("-").isdecimal():
            raise Refused(
                f"{recipient!r} is no chat of Telegram's, which have numbers.", code="INVALID_FIELD"
            )
        return Address(CHANNEL, str(self._account.id), str(int(recipient)))

    def listener(self, address: Address) -> Listener:
        """A person, or a group."""
        return Listener(ChatType.GROUP if is_group(address) else ChatType.DIRECT)

    def _showing(self, gateway: Gateway) -> Live:
        settings = self._settings
        surfaces = Surfaces(
            self._account,
            self._speaking,
            settings.draft_interval_ms / 1000 if settings.drafts else math.inf,
        )
        return Live(
            surfaces.surface,
            interval=surfaces.interval,
            typing_seconds=TYPING_SECONDS if settings.typing else math.inf,
            shown=gateway.draft_shown,
            known=gateway.draft_of,
            fading_seconds=FADING_SECONDS,
        )

    async def _hearing(self, gateway: Gateway) -> Hearing:
        us = await self._account.ourselves()
        return Hearing(self._account, gateway, us, self._settings.attachments.max_bytes)


async def _list_commands(bot: Bot, commands: Sequence[CommandHelp]) -> None:
    """Have Telegram offer our commands, unless it does already. Nothing depends on it."""
    offered = tuple(
        BotCommand(each.name, (each.help or each.name)[:_LONGEST_HELP])
        for each in commands
        if len(each.name) <= _LONGEST_NAME and _NAME_CHARACTERS.issuperset(each.name)
    )[:_MOST_COMMANDS]
    try:
        if await bot.get_my_commands() != offered:
            await bot.set_my_commands(offered)
    except TelegramError as error:
        log.warning("Telegram was not told of our commands: %s", error)
