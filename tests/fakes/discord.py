"""A fake Discord on a port of its own, for its official client library.

Here it is as the bot's peers know it: they write, edit, press buttons, and see what the bot wrote.
What goes wrong is asked for with `faults`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from tests.fakes import discord_objects as objects
from tests.fakes.discord_answers import Fault, answer, limited
from tests.fakes.discord_api import (
    APPLICATION_ID,
    BOT_ID,
    GUILD_ID,
    ROLE_ID,
    TOKEN,
    Channel,
    DiscordApi,
    Version,
    guild_of,
)
from tests.fakes.discord_objects import Json, snowflake

__all__ = [
    "APPLICATION_ID",
    "BOT_ID",
    "GUILD_ID",
    "ROLE_ID",
    "TOKEN",
    "Channel",
    "Discord",
    "Fault",
    "Version",
]


class Discord(DiscordApi):
    """Use as `async with Discord() as discord:`."""

    #: For so many seconds nobody is to ask for what comes first: where to listen, and to whom.
    peace = 0.0
    #: What every page of messages has besides.
    odd: Sequence[Json] = ()

    async def _where(self, request: web.Request) -> web.StreamResponse:
        return self._limited() or await super()._where(request)

    async def _open(self, request: web.Request) -> web.StreamResponse:
        return self._limited() or await super()._open(request)

    async def _read(self, request: web.Request) -> web.StreamResponse:
        page = await super()._read(request)
        assert isinstance(page, web.Response)
        assert isinstance(page.body, bytes)
        return answer([*self.odd, *json.loads(page.body)])

    def _limited(self) -> web.StreamResponse | None:
        return limited(Fault("", retry_after=self.peace)) if self.peace else None

    def open_thread(self, parent: str, name: str) -> Channel:
        thread = objects.thread(snowflake(), self.channels[parent].described, name, None)
        return self.add(thread)

    async def say(self, channel: Channel, user_id: str, text: str, **more: Any) -> str:
        """Somebody writes; `more` are fields of Discord's message."""
        author = objects.user(user_id, f"user-{user_id[-4:]}", bot=more.pop("bot", False))
        said = objects.message(channel.id, author, text, **more)
        channel.messages[said["id"]] = said
        await self.gateway.tell("MESSAGE_CREATE", self.event(channel, said))
        return str(said["id"])

    async def say_again(self, message_id: str) -> None:
        """An event is handed out once more."""
        channel = self.channel_with(message_id)
        event = self.event(channel, channel.messages[message_id])
        await self.gateway.tell("MESSAGE_CREATE", event)

    async def edit(self, message_id: str, text: str) -> None:
        channel = self.channel_with(message_id)
        said = channel.messages[message_id]
        said["content"] = text
        said["edited_timestamp"] = "2026-11-21T12:00:00.000Z"
        await self.gateway.tell("MESSAGE_UPDATE", self.event(channel, said))

    async def delete(self, message_id: str) -> None:
        channel = self.channel_with(message_id)
        del channel.messages[message_id]
        gone = {"id": message_id, "channel_id": channel.id}
        await self.gateway.tell("MESSAGE_DELETE", gone | guild_of(channel))

    async def react(self, message_id: str, user_id: str, emoji: str, *, added: bool = True) -> None:
        channel = self.channel_with(message_id)
        event = {
            "user_id": user_id,
            "channel_id": channel.id,
            "message_id": message_id,
            "message_author_id": channel.messages[message_id]["author"]["id"],
            "emoji": {"id": None, "name": emoji},
        }
        name = "MESSAGE_REACTION_ADD" if added else "MESSAGE_REACTION_REMOVE"
        await self.gateway.tell(name, event | guild_of(channel))

    async def interact(
        self, channel: Channel, user_id: str, kind: int, content: Json, *, patience: float = 10
    ) -> str:
        """Somebody presses a button or chooses a command; what they alone are told by it."""
        interaction_id = snowflake()
        user = objects.user(user_id, f"user-{user_id[-4:]}")
        who = {"member": {"user": user}} if guild_of(channel) else {"user": user}
        described = {key: channel.described[key] for key in ("id", "type")}
        if parent := channel.described.get("parent_id"):
            described["parent_id"] = parent
        told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.told[f"token-{interaction_id}"] = told
        await self.gateway.tell(
            "INTERACTION_CREATE",
            {
                "id": interaction_id,
                "application_id": APPLICATION_ID,
                "type": kind,
                "token": f"token-{interaction_id}",
                "channel_id": channel.id,
                "channel": described,
                "data": content,
            }
            | who
            | guild_of(channel),
        )
        async with asyncio.timeout(patience):
            return await told

    def shown(self, channel: Channel) -> list[Json]:
        """What the bot has written there, from the oldest to the newest."""
        ours = (each for each in channel.messages.values() if each["author"]["id"] == BOT_ID)
        return sorted(ours, key=lambda each: int(each["id"]))

    def channel_with(self, message_id: str) -> Channel:
        return next(each for each in self.channels.values() if message_id in each.messages)

    async def void_token(self) -> None:
        """The operator of the bot made a new token."""
        self.token = self.gateway.token = "another"
        await self.gateway.drop(4004)

    async def back(self) -> None:
        """All is well again."""
        self.token = self.gateway.token = TOKEN
        self.down = self.gateway.silent = False
