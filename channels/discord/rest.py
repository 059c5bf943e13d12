"""Discord's HTTP API, by its library, which keeps to the rate limits of each of its routes."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from discord.http import HTTPClient, Route

from channels.bounded import bounding
from channels.discord import wire
from channels.discord.settings import DiscordSettings
from opencraw.errors import AccountRefused

#: Longer waits are for the outbox, where others can see them. The library takes no smaller number.
LONGEST_WAIT_SECONDS = 30.0
#: So many messages Discord hands out at once.
PAGE = 100

_NEXT = (
    "Open discord.com/developers/applications, choose your application, Bot, Reset Token, put the "
    "new one into DISCORD_BOT_TOKEN, and start the daemon again."
)


def bot_id(token: str) -> str:
    """Whose token this is; its first part says so. Raises `AccountRefused` for what is no token."""
    first = token.partition(".")[0]
    try:
        found = base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        found = ""
    if not found.isdecimal():
        raise AccountRefused(f"This is no bot token of Discord's. {_NEXT}")
    return found


class Rest:
    """Our account, logged in when it is first needed, and again after `close`.

    What calls raise is in `failures.TROUBLE`.
    """

    def __init__(self, settings: DiscordSettings) -> None:
        self._token = settings.bot_token.get_secret_value().strip() if settings.bot_token else ""
        self._open: _Open | None = None
        self._login = asyncio.Lock()
        # The library knows one address for the whole process.
        Route.BASE = settings.api_url

    @property
    def token(self) -> str:
        if not self._token:
            raise AccountRefused(f"There is no bot token for Discord. {_NEXT}")
        return self._token

    @property
    def account(self) -> str:
        return bot_id(self.token)

    async def call(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        params: Mapping[str, str] | None = None,
        ids: Mapping[str, str] | None = None,
    ) -> Any:
        """One request; the library repeats it after short waits that Discord asks for. `ids` are
        for the braces in `path`."""
        session = await self._logged_in()
        given: dict[str, Any] = {} if json is None else {"json": json}
        if params is not None:
            given["params"] = params
        session.calls += 1
        try:
            return await session.http.request(Route(method, path, **(ids or {})), **given)
        except asyncio.CancelledError:
            # Cut off while it waited for all routes, the library would never let anybody go on.
            session.http._global_over.set()
            raise
        finally:
            session.calls -= 1
            await session.close_if_done()

    async def close(self) -> None:
        """Let go of all connections when the calls on them are over; the next opens new ones."""
        session, self._open = self._open, None
        if session is not None:
            session.wanted = False
            await session.close_if_done()

    # What more than one part of the channel asks for.

    async def channel(self, channel_id: str) -> wire.Channel:
        found = await self.call("GET", "/channels/{channel_id}", ids={"channel_id": channel_id})
        return msgspec.convert(found, wire.Channel)

    async def direct_channel(self, user_id: str) -> wire.Channel:
        """The channel between us and a person, which is made if there is none."""
        found = await self.call("POST", "/users/@me/channels", json={"recipient_id": user_id})
        return msgspec.convert(found, wire.Channel)

    async def messages(self, channel_id: str, **bounds: str) -> Sequence[Any]:
        """A page of a channel's messages as Discord has them, newest first."""
        found: Sequence[Any] = await self.call(
            "GET",
            "/channels/{channel_id}/messages",
            params={"limit": str(PAGE), **bounds},
            ids={"channel_id": channel_id},
        )
        return found

    async def _logged_in(self) -> _Open:
        async with self._login:
            if self._open is None:
                http = HTTPClient(
                    asyncio.get_running_loop(),
                    max_ratelimit_timeout=LONGEST_WAIT_SECONDS,
                    http_trace=bounding(),
                )
                try:
                    await http.static_login(self.token)
                except BaseException:
                    await http.close()
                    raise
                self._open = _Open(http)
            return self._open


@dataclass
class _Open:
    """The library's client, and how many calls it is busy with."""

    http: HTTPClient
    calls: int = 0
    wanted: bool = True

    async def close_if_done(self) -> None:
        if not self.wanted and not self.calls:
            await self.http.close()
