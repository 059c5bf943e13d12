"""Telegram calls us, instead of being asked: for daemons that the whole world can reach.

A call is answered when its update is durable. The secret that Telegram repeats with each call is
the only credential, and whoever does not know it learns nothing. Of several nodes any may be
called: the one that receives sees to it that Telegram knows where.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from weakref import WeakValueDictionary

from aiohttp import web
from telegram import WebhookInfo
from telegram.error import TelegramError

from channels.guesses import Guesses
from channels.receiving import lasting
from channels.telegram import albums, failures
from channels.telegram.account import Account
from channels.telegram.hearing import Hearing
from channels.telegram.translation import CHANNEL
from channels.telegram.updates import WANTED, Update
from opencraw.contract import CALLED_AT, Gateway, Pulse, Route
from opencraw.errors import Forbidden, Unavailable

log = logging.getLogger(__name__)

PATH = f"{CALLED_AT}/telegram/webhook"
SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 - a header's name


class _Gathering:
    """An album whose parts arrive in calls of their own."""

    def __init__(self) -> None:
        self.parts: list[Update] = []
        self.over = asyncio.Event()
        self.taken = False


class Calls:
    """What one account is told by Telegram's calls."""

    def __init__(self, account: Account, url: str, secret: str) -> None:
        self._account = account
        self._url = f"{url}{PATH}"
        self._secret = secret
        #: Who takes what Telegram calls us for, while somebody does.
        self.hearing: Hearing | None = None
        self._albums: dict[albums.Album, _Gathering] = {}
        self._chats: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
        self._guesses = Guesses()

    def routes(self) -> Sequence[Route]:
        """The address that Telegram calls."""
        return (Route("POST", PATH, self._called, public=True),)

    async def run(self, gateway: Gateway, pulse: Pulse, seconds: float) -> None:
        """Have Telegram call us until cancelled. Every few seconds it is asked whether it still
        knows where: that is our pulse."""
        noted = await lasting(partial(gateway.cursor, CHANNEL, str(self._account.id)))
        if noted is None:
            # Before Telegram may call: what it once calls us for must never be dropped.
            await self._drop_what_was_before()
            await lasting(partial(gateway.move_cursor, CHANNEL, str(self._account.id), "0"))
        await self._register()
        told = None
        while True:
            info = await self._look()
            pulse.beat()
            if info.last_error_message and info.last_error_date != told:
                told = info.last_error_date
                log.warning(
                    "Telegram cannot call %s (%s); it keeps trying for a day, %s updates wait",
                    self._url, info.last_error_message, info.pending_update_count,
                )  # fmt: skip
            await asyncio.sleep(seconds)

    async def _drop_what_was_before(self) -> None:
        """Whoever was never here begins with what comes from now on."""
        try:
            async with self._account.bot() as bot:
                await bot.delete_webhook(drop_pending_updates=True)
        except TelegramError as error:
            raise failures.of_account(error) from error

    async def _register(self) -> None:
        """Tell Telegram whom to call."""
        try:
            async with self._account.bot() as bot:
                await bot.set_webhook(self._url, secret_token=self._secret, allowed_updates=WANTED)
        except TelegramError as error:
            raise failures.of_account(error) from error

    async def _look(self) -> WebhookInfo:
        try:
            async with self._account.bot() as bot:
                info = await bot.get_webhook_info()
        except TelegramError as error:
            raise failures.of_account(error) from error
        if info.url != self._url:
            raise Unavailable(
                f"another program had Telegram call {info.url or 'nobody'} instead of us, so "
                "messages go there. Next: stop that program, or have @BotFather revoke the token "
                "and use the new one here"
            )
        return info

    async def _called(self, request: web.Request) -> web.Response:
        said = request.headers.get(SECRET_HEADER, "")
        if not hmac.compare_digest(said.encode("utf-8", "replace"), self._secret.encode()):
            self._guesses.note(request)
            raise Forbidden("This is for Telegram, which knows the secret.")
        hearing = self.hearing
        if hearing is None:
            raise Unavailable("Telegram is not listened to here at the moment.")
        update = await hearing.read(await request.read())
        if update is not None and update.album is None:
            async with self._in_order(update.chat):
                await hearing.take([update])
        elif update is not None and update.album is not None:
            await self._gather(hearing, update, update.album)
        return web.Response()

    @asynccontextmanager
    async def _in_order(self, chat: int) -> AsyncIterator[None]:
        """Calls come side by side; what a chat says is taken in the order of its calls."""
        lock = self._chats.get(chat)
        if lock is None:
            lock = self._chats[chat] = asyncio.Lock()
        async with lock:
            yield

    async def _gather(self, hearing: Hearing, update: Update, album: albums.Album) -> None:
        """Return when the whole album is durable. The call that brings its first part waits for the
        others."""
        gathering = self._albums.get(album)
        if gathering is not None:
            gathering.parts.append(update)
            await gathering.over.wait()
            if not gathering.taken:
                raise Unavailable("The album was not taken.")
            return
        gathering = self._albums[album] = _Gathering()
        gathering.parts.append(update)
        try:
            counted = 0
            while counted < len(gathering.parts):
                counted = len(gathering.parts)
                await asyncio.sleep(albums.PAUSE_SECONDS)
            del self._albums[album]
            async with self._in_order(update.chat):
                await hearing.take(sorted(gathering.parts, key=lambda each: each.update_id))
            gathering.taken = True
        finally:
            self._albums.pop(album, None)
            gathering.over.set()
