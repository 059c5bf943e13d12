"""How far we have come in each of Discord's channels.

A cursor is noted a moment after the message behind it is durable, the newest for all in between:
one that fell back costs a few messages that are recognised, one that went ahead would cost one.
"""

from __future__ import annotations

import asyncio
import logging

import msgspec

from channels.discord.inbound import NAME
from opencraw.contract import Gateway
from opencraw.errors import Unavailable

log = logging.getLogger(__name__)

#: The name under which the channels of direct messages are listed: Discord does not list them.
_DIRECT = "direct"
_MOST_DIRECT = 500
_PAUSE_SECONDS = 0.2


class Cursors:
    """Of one account."""

    def __init__(self, gateway: Gateway, account: str) -> None:
        self._gateway = gateway
        self._account = account
        self._known: dict[str, int] = {}
        self._unwritten: dict[str, str] = {}
        self._news = asyncio.Event()
        #: The persons behind channels of direct messages, the newest last.
        self.direct: dict[str, str] = {}

    async def load(self) -> None:
        """Recall who has written to us. Raises `Unavailable`."""
        value = await self._gateway.cursor(NAME, self._account, _DIRECT)
        self.direct = msgspec.json.decode(value, type=dict[str, str]) if value else {}

    async def of(self, channel_id: str) -> int | None:
        """The newest message of a channel that needs no second look. Raises `Unavailable`."""
        if channel_id not in self._known:
            value = await self._gateway.cursor(NAME, self._account, channel_id)
            if value is None:
                return None
            self._known[channel_id] = int(value)
        return self._known[channel_id]

    async def begin(self, channel_id: str, message_id: int, *, person: str = "") -> None:
        """Look for gaps in this channel from there on; returns when that is durable."""
        self._known[channel_id] = message_id
        if person:
            self.remember(channel_id, person)
            await self._gateway.move_cursor(NAME, self._account, self._listed(), _DIRECT)
        await self._gateway.move_cursor(NAME, self._account, str(message_id), channel_id)

    def come_to(self, channel_id: str, message_id: int) -> None:
        """Everything up to this message is durable, or needs not be."""
        if message_id > self._known.get(channel_id, -1):
            self._known[channel_id] = message_id
            self._write(channel_id, str(message_id))

    def remember(self, channel_id: str, user_id: str) -> None:
        """Somebody's direct messages are looked up after a gap from now on."""
        if self.direct.get(channel_id) != user_id:
            self.direct[channel_id] = user_id
            while len(self.direct) > _MOST_DIRECT:
                del self.direct[next(iter(self.direct))]
            self._write(_DIRECT, self._listed())

    def keeps(self, channel_id: str) -> bool:
        """Whether gaps in this channel are looked for."""
        return channel_id in self._known or channel_id in self.direct

    async def run(self) -> None:
        """Note cursors until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            writing, self._unwritten = self._unwritten, {}
            try:
                for name, value in writing.items():
                    await self._gateway.move_cursor(NAME, self._account, value, name)
            except Unavailable as away:
                log.warning("discord: cursors are noted later: %s", away)
                self._unwritten = writing | self._unwritten
                self._news.set()
                await asyncio.sleep(away.retry_after)
            await asyncio.sleep(_PAUSE_SECONDS)

    def _listed(self) -> str:
        return msgspec.json.encode(self.direct).decode()

    def _write(self, name: str, value: str) -> None:
        self._unwritten[name] = value
        self._news.set()
