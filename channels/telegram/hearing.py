"""Carries out what updates mean. Whoever hands one in may acknowledge it when this returns."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from functools import partial

from telegram.error import TelegramError

from channels.receiving import lasting, offer, side_by_side, understood
from channels.telegram import albums, translation
from channels.telegram.account import Account
from channels.telegram.translation import (
    CHANNEL,
    Edited,
    Greeted,
    Happening,
    Noted,
    Pressed,
    Reacted,
    Said,
    Us,
)
from channels.telegram.updates import Update, read
from opencraw.contract import Gateway, Pick
from opencraw.errors import Refused

log = logging.getLogger(__name__)

GREETING = "Hello! Write to me whenever you like. /help lists what I understand besides."
#: What a button answers is shown in a line of its own.
_ANSWER_CHARACTERS = 200


class Hearing:
    """What one account hears, on its way to the gateway."""

    def __init__(self, account: Account, gateway: Gateway, us: Us, most_bytes: int) -> None:
        self._account = account
        self._gateway = gateway
        self._us = us
        self._most_bytes = most_bytes

    async def read(self, raw: object) -> Update | None:
        """One update, parsed or as bytes; one that cannot be understood is put aside, and None."""

        def parse() -> Update:
            return read(json.loads(raw) if isinstance(raw, bytes) else raw)

        return await understood(self._gateway, CHANNEL, self._us.account, raw, parse)

    async def take(self, updates: Sequence[Update]) -> None:
        """Return when all that matters of them is durable: in order within a chat, chats side by
        side."""
        await side_by_side(albums.together(updates), lambda group: group[0].chat, self._take)

    async def _take(self, group: Sequence[Update]) -> None:
        meaning = partial(translation.translate, group, self._us, self._most_bytes)
        happening = await understood(self._gateway, CHANNEL, self._us.account, group, meaning)
        if happening is not None:
            await self._carry_out(happening)

    async def _carry_out(self, happening: Happening) -> None:
        match happening:
            case Said(envelope):
                await offer(self._gateway, envelope)
            case Greeted(envelope):
                if await lasting(partial(self._gateway.admits, envelope)):
                    await lasting(partial(self._gateway.tell, envelope.address, GREETING))
                else:
                    await offer(self._gateway, envelope)
            case Edited(envelope):
                await lasting(partial(self._gateway.amend, envelope))
            case Reacted(reactions):
                for reaction in reactions:
                    await lasting(partial(self._gateway.react, reaction))
            case Pressed(query_id, pick):
                await self._answer(query_id, pick)
            case Noted(sentence):
                log.warning("Telegram: %s", sentence)

    async def _answer(self, query_id: str, pick: Pick | None) -> None:
        """Carry out what was chosen. The button shows that it works until it gets an answer."""
        refused = False
        try:
            if pick is None:
                raise Refused("This button belongs to nothing any more.")
            said = await lasting(partial(self._gateway.choose, pick))
        except Refused as refusal:
            said, refused = str(refusal), True
        try:
            async with self._account.bot() as bot:
                await bot.answer_callback_query(
                    query_id, said[:_ANSWER_CHARACTERS], show_alert=refused
                )
        except TelegramError as error:
            # After some seconds Telegram takes no answer; what was chosen holds all the same.
            log.info("a pressed button could not be answered: %s", error)
