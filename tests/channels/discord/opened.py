"""The channel without a daemon: it sends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from pydantic import SecretStr

from channels.discord.channel import Discord
from channels.discord.settings import DiscordSettings
from opencraw.contract import Address, Choice, Delivery, Line, TurnShown
from tests.fakes import discord as fake
from tests.fixtures.gateway import Unasked


def settings(discord: fake.Discord, **more: object) -> DiscordSettings:
    given = {"bot_token": SecretStr(fake.TOKEN), "api_url": discord.api_url, **more}
    return DiscordSettings.model_validate(given)


class Notes(Unasked):
    """A gateway for a channel that only attends."""

    def __init__(self) -> None:
        self.drafts: dict[UUID, str | None] = {}

    async def draft_shown(self, turn_id: UUID, platform_id: str | None) -> None:
        self.drafts[turn_id] = platform_id

    async def draft_of(self, turn_id: UUID) -> TurnShown:
        return TurnShown(self.drafts.get(turn_id, ""))


@asynccontextmanager
async def attending(channel: Discord, notes: Notes) -> AsyncIterator[None]:
    """The channel does meanwhile what it does on every node, and does not receive."""
    attend = asyncio.create_task(channel.attend(notes))
    try:
        await asyncio.sleep(0)
        yield
    finally:
        attend.cancel()
        with suppress(asyncio.CancelledError):
            await attend


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
    draft: str | None = "",
    reply_context: str = "",
    choice: Choice | None = None,
    ends: UUID | None = None,
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
        ends=ends,
    )
