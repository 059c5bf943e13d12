from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import msgspec
import pytest

from channels.discord.channel import Discord
from opencraw.contract import Address, ChatType
from opencraw.errors import AccountRefused, Refused
from opencraw.events import DraftGrew, TurnStarted
from tests.channels.discord.opened import Notes, Told, attending, delivery, opened, settings
from tests.fakes import discord as fake
from tests.fixtures.core import until


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


async def test_a_node_that_does_not_receive_shows_its_turns_and_leaves_nothing_open(
    discord: fake.Discord,
) -> None:
    channel, notes = Discord(settings(discord)), Notes()
    place = discord.channels[discord.group("#den")]
    one = delivery("All of it.", chat=place.id)
    turn = uuid4()
    async with attending(channel, notes):
        channel.draft(one.address, TurnStarted(turn, 1))
        channel.draft(one.address, DraftGrew(turn, 1, 0, "Enough words to be worth a message."))
        await until(lambda: turn in notes.drafts, "a draft")
        await channel.send(msgspec.structs.replace(one, ends=turn), Told())
        [answer] = discord.shown(place)
        assert (answer["id"], answer["content"]) == (notes.drafts[turn], "All of it.")
        session = channel._rest._open
        assert session is not None
    assert channel._rest._open is None
    assert session.http._HTTPClient__session.closed  # type: ignore[attr-defined]


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
