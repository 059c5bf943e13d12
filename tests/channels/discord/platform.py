"""Discord, as the conformance suite speaks to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, Self

import pytest

from tests.channels.platform import Edit, Fault, File, Platform
from tests.fakes import discord as fake
from tests.fakes import discord_objects as objects
from tests.fixtures.core import until

_KINDS = {
    Fault.RATE_LIMITED: "rate_limited",
    Fault.SERVER_ERROR: "server_error",
    Fault.LOST_ANSWER: "lost_answer",
    Fault.REFUSED: "refused",
}
_ESCAPED = re.compile(r"\\([^\w\s])")


class DiscordPlatform(Platform):
    channel = "discord"
    limit = 2000
    shapes = ("", "cloudflare")

    def __init__(self) -> None:
        self.discord = fake.Discord()
        self._opened = AsyncExitStack()

    async def __aenter__(self) -> Self:
        # A dead line is noticed while a test can wait for it.
        patch = self._opened.enter_context(pytest.MonkeyPatch.context())
        patch.setattr("channels.discord.channel.SILENCE_SECONDS", self.patience)
        await self._opened.enter_async_context(self.discord)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._opened.aclose()

    def settings(self) -> Mapping[str, object]:
        return {
            "bot_token": fake.TOKEN,
            "api_url": self.discord.api_url,
            "draft_interval_ms": int(self.interval * 1000),
        }

    def person(self, name: str) -> str:
        return self.discord.person(name)

    def group(self, name: str) -> str:
        return self.discord.group(name)

    def place(self, chat: str) -> fake.Channel:
        """Discord's channel of one of the suite's chats."""
        if chat.startswith("#"):
            return self.discord.channels[self.group(chat)]
        return self.discord.direct(self.person(chat))

    async def says(
        self,
        text: str,
        *,
        chat: str = "a",
        sender: str = "",
        mention: bool = True,
        file: File | None = None,
    ) -> str:
        group = chat.startswith("#")
        if chat.startswith("guest"):
            # What a stranger says while nobody listens is lost: Discord does not list who wrote.
            await until(lambda: self.discord.gateway.listening, "a session")
        who = self.person(sender or ("a" if group else chat))
        more: dict[str, Any] = {}
        if group and mention:
            text, more["mentions"] = f"<@{fake.BOT_ID}> {text}", [self.discord.bot]
        if file is not None:
            file_id = objects.snowflake()
            self.discord.files[file_id] = file.data
            size = len(file.data) if file.claimed is None else file.claimed
            url = self.discord.url
            more["attachments"] = [objects.file(url, file_id, file.name, file.content_type, size)]
        return await self.discord.say(self.place(chat), who, text, **more)

    async def says_again(self, key: str, times: int = 1) -> None:
        for _ in range(times):
            await self.discord.say_again(key)

    async def own_message(self, text: str, *, chat: str = "a") -> None:
        """Written by our account, but not by this daemon; nobody counts it as shown."""
        channel = self.place(chat)
        written = objects.message(channel.id, self.discord.bot, text)
        await self.discord.gateway.tell("MESSAGE_CREATE", self.discord.event(channel, written))

    def shown(self, chat: str = "a") -> list[str]:
        return [_plain(each["content"]) for each in self.discord.shown(self.place(chat))]

    def fail_next(
        self,
        fault: Fault,
        *,
        chat: str = "",
        times: int = 1,
        retry_after: float = 0.5,
        shape: str = "",
    ) -> None:
        where = self.place(chat).id if chat else ""
        self.discord.faults.append(fake.Fault(_KINDS[fault], where, times, retry_after, shape))

    async def disconnect(self) -> None:
        self.discord.down = True
        await self.discord.gateway.drop(4000)

    async def reconnect(self) -> None:
        await self.discord.back()

    async def rewind(self) -> None:
        for channel in [*self.discord.channels.values()]:
            for message in [*channel.messages.values()]:
                await self.discord.say_again(message["id"])

    async def malformed(self) -> None:
        # Nobody can look this one up later.
        await until(lambda: self.discord.gateway.listening, "a session")
        channel = self.place("a")
        event = {"id": objects.snowflake(), "channel_id": channel.id, "author": "nobody"}
        await self.discord.gateway.tell("MESSAGE_CREATE", event)

    async def revoke(self) -> None:
        await self.discord.void_token()

    async def silent(self) -> None:
        self.discord.gateway.silent = True

    async def wants_peace(self, seconds: float) -> None:
        self.discord.peace = seconds
        # Who has a line has no questions before that is dead.
        await self.silent()

    def handed_out(self, key: str) -> float:
        return self.discord.gateway.handed_out[key]

    def drafts(self, chat: str = "a") -> list[Edit]:
        grown = [each for each in self.place(chat).versions.values() if len(each) > 1]
        edits = (Edit(version.at, _plain(version.text)) for each in grown for version in each)
        return sorted(edits)

    def typed(self, chat: str = "a") -> int:
        return self.place(chat).typed

    def downloads(self) -> int:
        return self.discord.downloads

    async def changes(self, key: str, text: str) -> None:
        await until(lambda: self.discord.gateway.listening, "a session")
        await self.discord.edit(key, text)

    async def takes_back(self, key: str) -> None:
        await until(lambda: self.discord.gateway.listening, "a session")
        await self.discord.delete(key)

    async def reacts(self, emoji: str, *, chat: str = "a", nth: int = -1, sender: str = "") -> None:
        message = self.discord.shown(self.place(chat))[nth]
        who = sender or ("a" if chat.startswith("#") else chat)
        await self.discord.react(message["id"], self.person(who), emoji)

    def buttons(self, chat: str = "a") -> list[str]:
        return [each["label"] for each in self._buttons(chat)]

    async def presses(self, label: str, *, chat: str = "a", sender: str = "") -> str:
        [custom_id] = [each["custom_id"] for each in self._buttons(chat) if each["label"] == label]
        who = sender or ("a" if chat.startswith("#") else chat)
        content = {"component_type": 2, "custom_id": custom_id}
        return await self.discord.interact(self.place(chat), self.person(who), 3, content)

    def _buttons(self, chat: str) -> list[dict[str, Any]]:
        rows = self.discord.shown(self.place(chat))[-1]["components"]
        return [button for row in rows for button in row["components"]]


def _plain(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)


PLATFORM = DiscordPlatform
