from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from channels.discord.channel import Discord
from opencraw.contract import Attachment
from opencraw.errors import NotFound, Refused
from tests.channels.discord.opened import opened
from tests.fakes import discord as fake
from tests.fakes import discord_objects as objects

DATA = b"crab " * 1000


@pytest.fixture
async def discord() -> AsyncIterator[fake.Discord]:
    async with fake.Discord() as discord:
        yield discord


@pytest.fixture
async def channel(discord: fake.Discord) -> AsyncIterator[Discord]:
    async with opened(discord) as channel:
        yield channel


async def sent_file(
    discord: fake.Discord, *, claimed: int | None = None, url: str = ""
) -> Attachment:
    """A file that somebody sent, as the envelope names it."""
    file_id = objects.snowflake()
    discord.files[file_id] = DATA
    described = objects.file(discord.url, file_id, "crab.txt", "text/plain", claimed or len(DATA))
    place = discord.direct(discord.person("a"))
    described["url"] = url or described["url"]
    message_id = await discord.say(place, discord.person("a"), "", attachments=[described])
    return Attachment("crab.txt", "text/plain", f"{place.id}/{message_id}/{file_id}")


async def test_a_file_is_found_by_the_message_that_brought_it(
    discord: fake.Discord, channel: Discord
) -> None:
    assert await channel.fetch(await sent_file(discord), 10_000) == DATA


async def test_a_file_that_claims_to_be_too_large_is_not_downloaded(
    discord: fake.Discord, channel: Discord
) -> None:
    attachment = await sent_file(discord, claimed=20_000)
    with pytest.raises(Refused, match="20,000"):
        await channel.fetch(attachment, 10_000)
    assert discord.downloads == 0


async def test_a_file_that_is_larger_than_it_claims_is_cut_off(
    discord: fake.Discord, channel: Discord
) -> None:
    with pytest.raises(Refused):
        await channel.fetch(await sent_file(discord, claimed=10), 100)


async def test_a_file_of_a_deleted_message_is_gone(discord: fake.Discord, channel: Discord) -> None:
    attachment = await sent_file(discord)
    await discord.delete(attachment.source.split("/")[1])
    with pytest.raises(NotFound):
        await channel.fetch(attachment, 10_000)


async def test_a_link_to_somewhere_else_is_not_followed(
    discord: fake.Discord, channel: Discord
) -> None:
    attachment = await sent_file(discord, url="http://169.254.169.254/latest")
    with pytest.raises(Refused, match="not Discord's"):
        await channel.fetch(attachment, 10_000)
