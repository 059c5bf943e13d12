"""Shows a turn while it runs: by Telegram's own drafts in direct chats, elsewhere by a message that
is edited. Drafts never wait for their turn: what Telegram would not take now is left out."""

from __future__ import annotations

import itertools
import logging
from uuid import UUID

from telegram.constants import ChatAction
from telegram.error import BadRequest, InvalidToken, RetryAfter, TelegramError

from channels.telegram import failures
from channels.telegram.account import Account, is_group
from channels.telegram.dialect import Formatted
from channels.telegram.speaking import Speaking, entities, thread
from opencraw.contract import Address
from opencraw.errors import NotSent

log = logging.getLogger(__name__)

#: Edits count as messages: a person's chat takes one each second, a group twenty in a minute.
EDIT_SECONDS = 1.5
GROUP_SECONDS = 3.5
#: Telegram shows it for five seconds.
TYPING_SECONDS = 4.0
#: Its own drafts vanish after thirty.
FADING_SECONDS = 20.0
_numbers = itertools.count(1)


class Surfaces:
    """How one account shows its drafts."""

    def __init__(self, account: Account, speaking: Speaking, interval: float) -> None:
        self.account = account
        self.speaking = speaking
        self._interval = interval
        #: Telegram takes drafts from this account, as far as we know.
        self.native = True

    def surface(self, address: Address) -> ChatSurface:
        """One address, to draw on."""
        return ChatSurface(self, address)

    def interval(self, address: Address) -> float:
        """Seconds between two drafts."""
        if is_group(address):
            return max(self._interval, GROUP_SECONDS)
        return self._interval if self.native else max(self._interval, EDIT_SECONDS)


class ChatSurface:
    """One address."""

    # Telegram knows no keys.
    idempotent = False

    def __init__(self, surfaces: Surfaces, address: Address) -> None:
        self._surfaces = surfaces
        self._address = address
        # Changes of a draft with the same number are animated.
        self._number = next(_numbers)

    @property
    def stays(self) -> bool:
        """A draft of Telegram's own vanishes."""
        return is_group(self._address) or not self._surfaces.native

    async def put(self, turn_id: UUID, text: str, reply_context: str) -> str:
        """Show a draft. Telegram's own drafts have no id, so all of a turn come through here."""
        part = self._surfaces.speaking.beginning(text)
        if not self.stays:
            await self._draw(part)
            return ""
        self._demand_room()
        return await self._surfaces.speaking.put(self._address, part, reply=reply_context)

    async def change(self, platform_id: str, text: str) -> None:
        """Have the message show this draft instead."""
        self._demand_room()
        speaking = self._surfaces.speaking
        await speaking.change(self._address, platform_id, speaking.beginning(text))

    async def type(self) -> None:
        """Show that somebody is typing."""
        account = self._surfaces.account
        if not account.everywhere.ready():
            return
        try:
            async with account.bot() as bot:
                await bot.send_chat_action(
                    account.chat(self._address),
                    ChatAction.TYPING,
                    message_thread_id=thread(self._address),
                )
        except TelegramError as error:
            raise failures.of_delivery(error) from error

    async def _draw(self, part: Formatted) -> None:
        """Show it as a draft of Telegram's own. Where there are none, the next is a message."""
        surfaces = self._surfaces
        if not surfaces.account.everywhere.ready():
            raise NotSent("as much is being said as Telegram takes")
        try:
            async with surfaces.account.bot() as bot:
                await bot.send_message_draft(
                    surfaces.account.chat(self._address),
                    self._number,
                    part.text,
                    message_thread_id=thread(self._address),
                    entities=entities(part),
                )
        except (BadRequest, InvalidToken) as error:
            surfaces.native = False
            log.info("Telegram takes no drafts from this bot (%s): messages are edited", error)
            raise NotSent("Telegram takes no drafts from this bot") from error
        except TelegramError as error:
            if isinstance(error, RetryAfter):
                surfaces.account.pace(self._address).hold(failures.seconds(error))
            raise failures.of_delivery(error) from error

    def _demand_room(self) -> None:
        if not self._surfaces.account.has_room(self._address):
            raise NotSent("as much is being said here as Telegram takes")
