"""The bot's account: one client of the Bot API for all who speak to it at the moment."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, urlencode

from telegram import Bot
from telegram.error import BadRequest, TelegramError
from telegram.request import HTTPXRequest
from yarl import URL

from channels.bounded import PLAIN, download
from channels.pacing import Pace, Paces
from channels.telegram import failures
from channels.telegram.answers import bound
from channels.telegram.settings import TelegramSettings
from channels.telegram.translation import Us
from opencraw.contract import Address, Attachment
from opencraw.errors import NotFound, Refused, Unavailable

#: How long Telegram may take to answer anything but a poll.
ANSWER_SECONDS = 20.0
CONNECT_SECONDS = 10.0


class _Request(HTTPXRequest):
    """The library's way to Telegram, on which every limit is known to be one."""

    async def do_request(self, *args: Any, **given: Any) -> tuple[int, bytes]:
        status, answer = await super().do_request(*args, **given)
        if status == 429:
            raise failures.limit(answer)
        return status, answer


class Account:
    """The client exists as long as somebody uses it, so nothing is left behind when nobody does."""

    def __init__(self, settings: TelegramSettings) -> None:
        assert settings.bot_token is not None, "settings that are enabled have a token"
        self._token = settings.bot_token.get_secret_value()
        self._base = settings.api_url
        self._patience = settings.patience
        self.id = int(self._token.partition(":")[0])
        #: Who we are, once Telegram was asked.
        self._us: Us | None = None
        self.everywhere = Pace(30.0, 30)
        self._persons = Paces(lambda: Pace(1.0, 3))
        self._groups = Paces(lambda: Pace(20 / 60, 3))
        #: Where groups went that became supergroups.
        self.moved: dict[int, int] = {}
        self._users = 0
        self._request: HTTPXRequest | None = None

    async def room(self, address: Address) -> None:
        """Return when something may be said in a chat, and count it."""
        await self.pace(address).wait()
        await self.everywhere.wait()

    def has_room(self, address: Address) -> bool:
        """Whether something may be said in a chat at once; if so it is counted."""
        return self.pace(address).ready() and self.everywhere.ready()

    def pace(self, address: Address) -> Pace:
        """How fast a chat may be written to."""
        paces = self._groups if is_group(address) else self._persons
        return paces.of(address.chat)

    def chat(self, address: Address) -> int:
        """The chat's id of today."""
        chat = int(address.chat)
        return self.moved.get(chat, chat)

    @asynccontextmanager
    async def bot(self) -> AsyncIterator[Bot]:
        """The Bot API, for as long as it is used."""
        request = self._request
        if request is None:
            request = self._request = _Request(
                connection_pool_size=64,
                read_timeout=ANSWER_SECONDS,
                write_timeout=ANSWER_SECONDS,
                connect_timeout=CONNECT_SECONDS,
                pool_timeout=ANSWER_SECONDS,
                httpx_kwargs={"headers": PLAIN, "event_hooks": {"response": [bound]}},
            )
        self._users += 1
        try:
            yield Bot(
                self._token,
                base_url=f"{self._base}/bot",
                base_file_url=f"{self._base}/file/bot",
                request=request,
                get_updates_request=request,
            )
        finally:
            self._users -= 1
            if not self._users:
                self._request = None
                await request.shutdown()

    async def ourselves(self) -> Us:
        """Who we are. Raises what `introduce` does."""
        if self._us is None:
            await self.introduce()
        assert self._us is not None, "introduced"
        return self._us

    async def introduce(self) -> Mapping[str, str]:
        """Ask Telegram who we are. Raises `AccountRefused` and `Unavailable`."""
        try:
            async with self.bot() as bot:
                me = await bot.get_me()
        except TelegramError as error:
            raise failures.of_account(error) from error
        self._us = Us(me.id, me.username or "")
        return {
            "id": str(me.id),
            "name": me.full_name,
            "username": f"@{me.username}",
            "reads all messages of its groups": "yes" if me.can_read_all_group_messages else "no",
        }

    async def poll(self, offset: int, seconds: int, wanted: tuple[str, ...]) -> list[Any]:
        """What happened from `offset` on, as it came; all before is forgotten over there. Raises
        `TelegramError`, and `ValueError` for an answer that is none."""
        query = {"offset": offset, "timeout": seconds, "allowed_updates": json.dumps(wanted)}
        async with self.bot() as bot:
            assert self._request is not None
            # The library's own method translates all updates at once, and knows no way around one
            # that it does not understand.
            payload = await self._request.retrieve(
                f"{bot.base_url}/getUpdates?{urlencode(query)}",
                read_timeout=self._patience,
            )
        answer = json.loads(payload)
        updates = answer.get("result") if isinstance(answer, dict) else None
        if not isinstance(updates, list):
            raise ValueError("a poll was answered without a list of updates")  # noqa: TRY004
        return updates

    async def fetch(self, attachment: Attachment, limit: int) -> bytes:
        """The bytes of a file, at most `limit`."""
        try:
            async with self.bot() as bot:
                file = await bot.get_file(attachment.source)
        except BadRequest as error:
            if "too big" in str(error):
                raise Refused(f"{attachment.name} is larger than bots may fetch (20 MB)") from error
            raise NotFound(f"Telegram does not have {attachment.name} any more") from error
        except TelegramError as error:
            raise Unavailable(f"{attachment.name} cannot be fetched: {error}") from error
        files = f"{self._base}/file/bot{self._token}/"
        path = (file.file_path or "").removeprefix(files)
        if not path or path.startswith("/"):
            raise Refused(f"{attachment.name} lies where only the Bot API server can read it")
        return await download(
            URL(files + quote(path), encoded=True),
            limit,
            platform="Telegram",
            # As the library's calls do.
            trust_env=True,
        )


def is_group(address: Address) -> bool:
    """Whether several people are there."""
    return address.chat.startswith("-")
