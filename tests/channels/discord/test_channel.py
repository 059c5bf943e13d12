from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from channels.discord.channel import Discord
from opencraw.contract import Address, ChatType
from opencraw.errors import AccountRefused, Refused
from tests.channels.discord.opened import opened
from tests.fakes import discord as fake


@pytest.fixture
async def discord() -> AsyncIterator[fake.Discord]:
    async with fake.Discord() as discord:
        yield discord


@pytest.fixture
async def channel(discord: fake.Discord) -> AsyncIterator[Discord]:
    async with opened(discord) as channel:
        yield channel


async def test_a_probe_tells_who_we_are(discord: fake.Discord, channel: Discord) -> None:
    assert await channel.probe() == {
        "id": fake.BOT_ID,
        "name": "crab",
        "sessions_left_today": "1000 of 1000",
    }


async def test_a_probe_with_a_void_token_says_what_to_do(
    discord: fake.Discord, channel: Discord
) -> None:
    await discord.void_token()
    with pytest.raises(AccountRefused, match="Reset Token"):
        await channel.probe()


async def test_people_and_channels_are_reached_by_their_ids(channel: Discord) -> None:
    assert channel.address("42") == Address("discord", fake.BOT_ID, "@42")
    assert channel.address("#7") == Address("discord", fake.BOT_ID, "7")
    for name in ("ann", "", "#", "@42", "4" * 21, "٤"):
        with pytest.raises(Refused):
            channel.address(name)


async def test_a_direct_address_says_who_is_there(channel: Discord) -> None:
    person = channel.listener(channel.address("42"))
    assert person is not None
    assert person.sender is not None
    assert (person.chat_type, person.sender.id) == (ChatType.DIRECT, "42")
    group = channel.listener(channel.address("#7"))
    assert group is not None
    assert (group.chat_type, group.sender) == (ChatType.GROUP, None)
