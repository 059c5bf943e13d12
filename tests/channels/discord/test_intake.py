"""A whole daemon on Discord: what becomes of what happens there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.channels.discord.platform import DiscordPlatform
from tests.channels.house import House
from tests.fakes import discord_objects as objects
from tests.fixtures.core import until


async def test_the_first_run_answers_nothing_old(platform: DiscordPlatform, house: House) -> None:
    await platform.says("[[say Old.]]")
    await platform.says("[[say Old, too.]]", chat="#den")
    old = objects.snowflake()
    await until(lambda: objects.moment(objects.snowflake()) > objects.moment(old), "a later moment")
    await house.open()
    await platform.says("[[say New.]]")
    await platform.says("[[say New, too.]]", chat="#den")
    await house.sees("New.")
    await house.sees("New, too.", chat="#den")
    await house.at_rest()
    assert len(platform.shown("a")) == len(platform.shown("#den")) == 1


async def test_after_a_lost_session_a_servers_channel_is_caught_up_in_order(
    platform: DiscordPlatform, house: House
) -> None:
    await house.open()
    await platform.says("[[say Before.]]", chat="#den")
    await house.sees("Before.", chat="#den")
    await platform.disconnect()
    platform.discord.gateway.forget()
    for number in range(120):
        await platform.says(f"Aside {number}.", chat="#den", mention=False)
    await platform.says("[[say One.]]", chat="#den")
    await platform.says("[[say Two.]]", chat="#den")
    await platform.reconnect()
    await house.sees("Before.", "One.", "Two.", chat="#den")


async def test_a_gap_is_caught_up_on_to_its_end_however_long_it_was(
    platform: DiscordPlatform, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("intake", "rest"):
        monkeypatch.setattr(f"channels.discord.{module}.PAGE", 2)
    await house.open()
    await platform.says("[[say Before.]]", chat="#den")
    await house.sees("Before.", chat="#den")
    await platform.disconnect()
    platform.discord.gateway.forget()
    for number in range(110):
        await platform.says(f"Aside {number}.", chat="#den", mention=False)
    await platform.says("[[say The end.]]", chat="#den")
    await platform.reconnect()
    await platform.says("[[say Now.]]", chat="#den")
    await house.sees("Before.", "The end.", "Now.", chat="#den")


async def test_of_what_is_caught_up_on_a_message_that_nobody_understands_is_put_aside(
    platform: DiscordPlatform, house: House
) -> None:
    await house.open()
    await platform.says("[[say Before.]]", chat="#den")
    await house.sees("Before.", chat="#den")
    await house.close()
    platform.discord.odd = [{"content": "no id"}, {"id": "soon"}, {"id": "1", "author": "nobody"}]
    await platform.says("[[say Meanwhile.]]", chat="#den")
    await house.open()
    await house.sees("Before.", "Meanwhile.", chat="#den")
    assert await house.count("quarantined WHERE channel = 'discord'") >= 3


async def test_a_thread_is_a_conversation_of_its_own_in_a_listed_channel(
    platform: DiscordPlatform, house: House
) -> None:
    await house.open()
    discord, who = platform.discord, platform.person("a")
    await platform.says("[[say In the den.]]", chat="#den")
    await house.sees("In the den.", chat="#den")
    thread = discord.open_thread(platform.group("#den"), "aside")
    text = f"<@{discord.bot['id']}> [[say In the thread.]]"
    await discord.say(thread, who, text, mentions=[discord.bot])
    await until(lambda: [m["content"] for m in discord.shown(thread)] == ["In the thread."], "it")
    assert await house.count("session") == 2
    assert len(platform.shown("#den")) == 1


async def test_an_edit_and_a_deletion_reach_what_waits(
    platform: DiscordPlatform, house: House
) -> None:
    await house.open()
    await platform.says("[[silent]]")
    await until(lambda: house.count("turn WHERE state = 'running'"), "a turn")
    changed = await platform.says("[[say Wrong.]]")
    deleted = await platform.says("[[say Never.]]")
    await until(lambda: _waits(house, 2), "both wait")
    await platform.changes(changed, "[[say Right.]]")
    await platform.takes_back(deleted)
    await until(lambda: _waits(house, 1), "one waits")


async def test_a_thread_that_begins_while_nobody_listens_is_looked_up(
    platform: DiscordPlatform, house: House
) -> None:
    await house.open()
    await platform.says("[[say In the den.]]", chat="#den")
    await house.sees("In the den.", chat="#den")
    await house.close()
    discord, who = platform.discord, platform.person("a")
    thread = discord.open_thread(platform.group("#den"), "aside")
    text = f"<@{discord.bot['id']}> [[say In the thread.]]"
    await discord.say(thread, who, text, mentions=[discord.bot])
    await house.open()
    await until(lambda: [m["content"] for m in discord.shown(thread)] == ["In the thread."], "it")


async def test_a_link_that_got_its_picture_is_no_edit(
    platform: DiscordPlatform, house: House
) -> None:
    await house.open()
    await platform.says("[[silent]]")
    await until(lambda: house.count("turn WHERE state = 'running'"), "a turn")
    linked = await platform.says("Look at this link.")
    edited = await platform.says("What is this?")
    await until(lambda: _waits(house, 2), "both wait")
    place = platform.place("a")
    shown = place.messages[linked] | {"content": "Something else."}
    await platform.discord.gateway.tell("MESSAGE_UPDATE", platform.discord.event(place, shown))
    await platform.changes(edited, "What is that?")
    await until(lambda: house.count("inbox WHERE text = 'What is that?'"), "the edit")
    assert await house.count("inbox WHERE text = 'Look at this link.'") == 1


async def test_what_finds_no_room_is_looked_up_later(
    platform: DiscordPlatform, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channels.discord.intake.MOST_WAITING", 2)
    await house.open()
    await until(lambda: platform.discord.gateway.listening, "a session")
    for number in range(20):
        await platform.says(f"[[say Answer {number}.]]", chat="abc"[number % 3])
    for number in range(20):
        await house.sees(f"Answer {number}.", chat="abc"[number % 3])
    await house.sees(*(f"Answer {number}." for number in range(0, 20, 3)))


async def test_a_message_older_than_the_limit_is_left_alone_after_a_gap(
    platform: DiscordPlatform, house: House
) -> None:
    await house.open(catch_up_hours=0)
    await until(lambda: platform.discord.gateway.listening, "a session")
    await platform.says("[[say Before.]]")
    await house.sees("Before.")
    await house.close()
    await platform.says("[[say Meanwhile.]]")
    old = objects.snowflake()
    await until(lambda: objects.moment(objects.snowflake()) > objects.moment(old), "a later moment")
    await house.open()
    await until(lambda: platform.discord.gateway.listening, "a session")
    await platform.says("[[say Afterwards.]]")
    await house.sees("Afterwards.")
    assert not any("Meanwhile." in text for text in platform.shown())


async def test_a_pause_that_is_asked_of_who_wants_to_know_where_to_listen_is_kept_and_told(
    platform: DiscordPlatform, house: House
) -> None:
    await platform.wants_peace(60)
    await house.open()
    await house.becomes("failed")
    next_attempt = datetime.fromisoformat((await house.channel())["next_attempt"])
    assert next_attempt - datetime.now(UTC) > timedelta(seconds=50)


async def _waits(house: House, number: int) -> bool:
    return await house.count("inbox WHERE state = 'waiting'") == number
