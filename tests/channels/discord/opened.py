"""The channel without a daemon: it sends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from pydantic import SecretStr

from channels.discord.channel import Discord
from channels.discord.settings import DiscordSettings
from opencraw.contract import Address, Choice, Delivery, Line
from tests.fakes import discord as fake


def settings(discord: fake.Discord, **more: object) -> DiscordSettings:
    given = {"bot_token": SecretStr(fake.TOKEN), "api_url": discord.api_url, **more}
    return DiscordSettings.model_validate(given)


@asynccontextmanager
async def opened(discord: fake.Discord) -> AsyncIterator[Discord]:
    channel = Discord(settings(discord))
    try:
        yield channel
    finally:
        await channel._rest.close()


class Told:
    """What a channel told of the parts that it sent."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    async def __call__(self, platform_id: str) -> None:
        self.parts.append(platform_id)


def delivery(
    text: str,
    *,
    chat: str,
    thread: str = "",
    age: float = 0.0,
    parts: tuple[str, ...] = (),
    draft: str = "",
    reply_context: str = "",
    choice: Choice | None = None,
) -> Delivery:
    """An answer that was written `age` seconds ago."""
    one = uuid4()
    line = Line(1, "reply", text, datetime.now(UTC) - timedelta(seconds=age), one)
    return Delivery(
        one,
        Address("discord", fake.BOT_ID, chat, thread),
        line,
        reply_context=reply_context,
        parts=parts,
        draft=draft,
        choice=choice,
    )
