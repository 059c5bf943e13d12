"""Slash commands and buttons, by a whole daemon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from uuid import UUID, uuid4

import asyncpg
import pytest

from channels.discord import wire
from channels.discord.inbound import Place, Us
from channels.discord.interactions import Interactions, buttons, list_commands
from channels.discord.places import Places
from channels.discord.rest import Rest
from opencraw.contract import Address, ChatType, Choice, CommandHelp, Option, Pick
from tests.channels.discord.opened import settings
from tests.channels.discord.platform import DiscordPlatform
from tests.channels.house import House
from tests.fakes import discord as fake
from tests.fixtures.core import until
from tests.fixtures.gateway import Unasked


async def opened(platform: DiscordPlatform, house: House) -> None:
    await house.open()
    await until(lambda: platform.discord.gateway.listening, "a session")


async def test_a_command_from_discords_list_is_carried_out(
    platform: DiscordPlatform, house: House
) -> None:
    await opened(platform, house)
    place, who = platform.place("a"), platform.person("a")
    told = await platform.discord.interact(place, who, 2, {"name": "status", "type": 1, "id": "1"})
    assert told == "`/status`"
    await until(lambda: platform.shown("a"), "the answer")
    assert await house.count("turn") == 0


async def test_a_stranger_is_not_told_anything_by_a_command(
    platform: DiscordPlatform, house: House
) -> None:
    await opened(platform, house)
    place, who = platform.place("#den"), platform.person("guest-1")
    with pytest.raises(TimeoutError):
        await platform.discord.interact(
            place, who, 2, {"name": "status", "type": 1, "id": "1"}, patience=0.5
        )
    assert platform.shown("#den") == []


async def test_a_button_for_something_that_is_over_says_so_to_who_pressed(
    platform: DiscordPlatform, house: House
) -> None:
    await opened(platform, house)
    content = {"component_type": 2, "custom_id": f"oc:yes:{uuid4()}"}
    told = await platform.discord.interact(platform.place("a"), platform.person("a"), 3, content)
    assert told
    assert platform.shown("a") == []


@pytest.fixture
async def rest() -> AsyncIterator[tuple[fake.Discord, Rest]]:
    async with fake.Discord() as discord:
        rest = Rest(settings(discord))
        yield discord, rest
        await rest.close()


COMMANDS = (
    CommandHelp("status", "/status", "Show how things are.", False),
    CommandHelp("queue", "/queue [mode]", "Show or change the mode.", True),
)


def changes(discord: fake.Discord) -> Sequence[str]:
    return [method for method, path, _ in discord.requests if "/commands" in path]


async def test_commands_are_listed_once_and_again_only_when_they_differ(
    rest: tuple[fake.Discord, Rest],
) -> None:
    discord, api = rest
    await list_commands(api, fake.APPLICATION_ID, COMMANDS)
    assert [each["name"] for each in discord.commands] == ["status", "queue"]
    await list_commands(api, fake.APPLICATION_ID, COMMANDS)
    assert changes(discord) == ["GET", "PUT", "GET"]
    await list_commands(api, fake.APPLICATION_ID, COMMANDS[:1])
    assert changes(discord) == ["GET", "PUT", "GET", "GET", "PUT"]


def test_buttons_stand_in_rows_of_five_and_what_does_not_fit_is_left_to_the_text() -> None:
    options = (*(Option(f"{n}", f"Option {n}") for n in range(7)), Option("x" * 80, "Too long"))
    rows = buttons(Choice(UUID(int=1), options))
    assert [[each["label"] for each in row["components"]] for row in rows] == [
        [f"Option {n}" for n in range(5)],
        ["Option 5", "Option 6"],
    ]


async def test_a_choice_that_takes_long_is_told_to_be_in_work_first(
    platform: DiscordPlatform, house: House, database_url: str
) -> None:
    await opened(platform, house)
    content = {"component_type": 2, "custom_id": f"oc:yes:{uuid4()}"}
    blocker = await asyncpg.connect(database_url)
    async with blocker.transaction():
        await blocker.execute("LOCK TABLE choice IN ACCESS EXCLUSIVE MODE")
        pressed = asyncio.create_task(
            platform.discord.interact(platform.place("a"), platform.person("a"), 3, content)
        )
        await until(lambda: answers(platform.discord), "a word that it will come")
        assert answers(platform.discord) == [5]
    await blocker.close()
    assert await pressed


class Deciding(Unasked):
    """A gateway that takes its time over a choice."""

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.decided: list[str] = []

    async def choose(self, pick: Pick) -> str:
        await self.may.wait()
        self.decided.append(pick.option)
        return "Noted."


async def test_what_was_chosen_counts_although_discord_waits_no_more_for_a_word_about_it(
    rest: tuple[fake.Discord, Rest],
) -> None:
    discord, api = rest
    discord.forgets_interactions = True
    pressed = wire.Interaction(
        id="1", application_id=fake.APPLICATION_ID, type=wire.COMPONENT, token="token-1",
        data=wire.InteractionData(custom_id=f"oc:yes:{uuid4()}"),
        channel=wire.Channel("2", wire.DIRECT), user=wire.User("3", "Ann"),
    )  # fmt: skip
    gateway = Deciding()
    interactions = Interactions(api, gateway, Places(api))
    answering = asyncio.create_task(interactions.answer(pressed, Us(fake.BOT_ID)))
    await until(lambda: answers(discord) == [5], "a word that it will come")
    await asyncio.wait([answering], timeout=0.5)
    assert not answering.done()
    gateway.may.set()
    await answering
    assert gateway.decided == ["yes"]


async def test_a_button_between_two_people_does_not_move_the_talk_with_one_of_them(
    rest: tuple[fake.Discord, Rest],
) -> None:
    """Who installs an app for himself presses its buttons where its bot may not write."""
    discord, api = rest
    told = discord.told["token-1"] = asyncio.get_running_loop().create_future()
    places = Places(api)
    places.put("9", Place("@3", chat_type=ChatType.DIRECT))
    pressed = wire.Interaction(
        id="1", application_id=fake.APPLICATION_ID, type=wire.COMPONENT, token="token-1",
        data=wire.InteractionData(custom_id=f"oc:yes:{uuid4()}"),
        channel=wire.Channel("2", wire.DIRECT), user=wire.User("3", "Ann"),
    )  # fmt: skip
    gateway = Deciding()
    gateway.may.set()
    await Interactions(api, gateway, places).answer(pressed, Us(fake.BOT_ID))
    assert gateway.decided == ["yes"]
    assert told.result() == "Noted."
    assert await places.channel_of(Address("discord", "", "@3")) == "9"


def answers(discord: fake.Discord) -> Sequence[int]:
    return [body["type"] for _, path, body in discord.requests if path.endswith("/callback")]
