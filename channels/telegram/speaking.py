"""Says things on Telegram: in parts that it takes, at the pace that it allows.

Formatting is told by entities and never by a markup that Telegram would have to parse, so no text
can break it. Should Telegram object to an entity all the same, the words go out without any.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from telegram import (
    Bot,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    LinkPreviewOptions,
    MessageEntity,
    ReplyParameters,
)
from telegram.error import BadRequest, ChatMigrated, RetryAfter, TelegramError

from channels.marks import Part, markable
from channels.telegram import failures
from channels.telegram.account import Account
from channels.telegram.dialect import Formatted, telegram_parts
from channels.telegram.settings import TelegramSettings
from channels.telegram.translation import button
from opencraw.contract import Address, Choice, Delivery, PartSent
from opencraw.errors import DeliveryFailure, NotSent

log = logging.getLogger(__name__)

T = TypeVar("T")

#: More buttons than these stand below each other.
_IN_A_ROW = 3


class Speaking:
    """What one account says."""

    def __init__(self, account: Account, settings: TelegramSettings) -> None:
        self._account = account
        self._limit = settings.max_message_chars
        self._link_preview = LinkPreviewOptions(is_disabled=settings.disable_link_previews)

    async def send(self, delivery: Delivery, sent: PartSent) -> None:
        """Send what is not there yet of a delivery; its draft becomes its first part."""
        draft = delivery.draft
        parts = self.parts(delivery.line.text)
        begin = len(delivery.parts)
        for index, part in enumerate(parts[begin:], begin):
            last = index == len(parts) - 1
            keyboard = _keyboard(delivery.choice) if delivery.choice and last else None
            if (
                index == 0
                and draft
                and await self._rewrite(delivery.address, draft, part.text, keyboard)
            ):
                await sent(draft)
                continue
            copy = delivery.recovered and index == begin
            reply = delivery.reply_context if index == 0 else ""
            text = part.copy if copy else part.text
            await self._account.room(delivery.address)
            await sent(await self.put(delivery.address, text, reply=reply, keyboard=keyboard))

    def parts(self, markdown: str) -> Sequence[Part[Formatted]]:
        """The messages of a text."""
        return markable(
            markdown, self._limit, telegram_parts, lambda words, part: part.behind(words)
        )

    def beginning(self, markdown: str) -> Formatted:
        """As much of a text as is the first of its messages."""
        return next((part.text for part in self.parts(markdown)), Formatted("…"))

    async def put(
        self,
        address: Address,
        part: Formatted,
        *,
        reply: str = "",
        keyboard: InlineKeyboardMarkup | None = None,
    ) -> str:
        """Send one message, at once; its id. Raises a `DeliveryFailure`."""

        async def call(bot: Bot, entities: list[MessageEntity]) -> str:
            message = await bot.send_message(
                self._account.chat(address),
                part.text,
                entities=entities,
                link_preview_options=self._link_preview,
                message_thread_id=thread(address),
                reply_parameters=_reply(reply),
                reply_markup=keyboard,
            )
            return str(message.message_id)

        return await self._called(address, part, call)

    async def edit(self, address: Address, platform_id: str, text: str) -> None:
        """Have a message say something else, without buttons. Raises a `DeliveryFailure`."""
        part = self.beginning(text)
        if not await self._rewrite(address, platform_id, part, None):
            log.info("message %s of chat %s is gone", platform_id, address.chat)

    async def _rewrite(
        self,
        address: Address,
        platform_id: str,
        part: Formatted,
        keyboard: InlineKeyboardMarkup | None,
    ) -> bool:
        """Have a message say this. False when there is no such message."""
        await self._account.room(address)
        try:
            await self.change(address, platform_id, part, keyboard)
        except DeliveryFailure as failure:
            cause = failure.__cause__
            if isinstance(cause, BadRequest) and failures.is_gone(cause):
                return False
            if isinstance(cause, TelegramError) and not isinstance(cause, BadRequest):
                # Saying the same once more changes nothing.
                pause = failures.seconds(cause) if isinstance(cause, RetryAfter) else None
                raise NotSent(str(failure), retry_after=pause) from failure
            raise
        return True

    async def change(
        self,
        address: Address,
        platform_id: str,
        part: Formatted,
        keyboard: InlineKeyboardMarkup | None = None,
    ) -> None:
        """Have a message say this, at once. Raises a `DeliveryFailure`."""

        async def call(bot: Bot, entities: list[MessageEntity]) -> None:
            try:
                await bot.edit_message_text(
                    part.text,
                    self._account.chat(address),
                    int(platform_id),
                    entities=entities,
                    link_preview_options=self._link_preview,
                    reply_markup=keyboard,
                )
            except BadRequest as error:
                if not failures.is_unchanged(error):
                    raise

        await self._called(address, part, call)

    async def _called(
        self,
        address: Address,
        part: Formatted,
        call: Callable[[Bot, list[MessageEntity]], Awaitable[T]],
    ) -> T:
        """Make a call, once more where Telegram says how it would be right."""
        formatting = entities(part)
        try:
            async with self._account.bot() as bot:
                try:
                    return await call(bot, formatting)
                except ChatMigrated as moved:
                    log.warning(
                        "Telegram: group %s has become %s: put the new number into access.groups",
                        address.chat, moved.new_chat_id,
                    )  # fmt: skip
                    self._account.moved[int(address.chat)] = moved.new_chat_id
                except BadRequest as error:
                    if not formatting or not failures.is_about_entities(error):
                        raise
                    log.warning("Telegram takes this text only without formatting: %s", error)
                    formatting = []
                return await call(bot, formatting)
        except TelegramError as error:
            if isinstance(error, RetryAfter):
                self._account.pace(address).hold(failures.seconds(error))
            raise failures.of_delivery(error) from error


def entities(part: Formatted) -> list[MessageEntity]:
    """The formatting, in the library's words."""
    return [
        MessageEntity(
            each.type,
            each.offset,
            each.length,
            url=each.url or None,
            language=each.language or None,
        )
        for each in part.entities
    ]


def thread(address: Address) -> int | None:
    """The topic, as Telegram wants it."""
    return int(address.thread) if address.thread else None


def _reply(message: str) -> ReplyParameters | None:
    """The message that is answered. It may be deleted by now."""
    if not message:
        return None
    return ReplyParameters(int(message), allow_sending_without_reply=True)


def _keyboard(choice: Choice) -> InlineKeyboardMarkup:
    buttons = [
        InlineKeyboardButton(option.label, callback_data=button(choice, option))
        for option in choice.options
    ]
    rows = [buttons] if len(buttons) <= _IN_A_ROW else [[each] for each in buttons]
    return InlineKeyboardMarkup(rows)
