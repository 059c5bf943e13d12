from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from channels.discord.line import Line
from channels.discord.rest import Rest, bot_id
from opencraw.contract import Pulse
from opencraw.errors import AccountRefused, Unavailable
from tests.channels.discord.opened import settings
from tests.fakes import discord as fake
from tests.fixtures.core import until


@pytest.fixture
async def discord() -> AsyncIterator[fake.Discord]:
    async with fake.Discord() as discord:
        yield discord


class Heard:
    """A line that is listened on."""

    def __init__(self, discord: fake.Discord, patience: float) -> None:
        self.discord = discord
        self.events: list[tuple[str, Any]] = []
        self.pulse = Pulse(patience)
        self.rest = Rest(settings(discord))
        self.line = Line(settings(discord), self.rest, self.pulse, self._take)

    def _take(self, name: str, raw: msgspec.Raw) -> None:
        self.events.append((name, json.loads(bytes(raw))))

    async def until_open(self) -> None:
        await until(lambda: self.discord.gateway.listening == 1, "a session")

    @property
    def said(self) -> list[str]:
        told = [each for name, each in self.events if name == "MESSAGE_CREATE"]
        return [each["content"] for each in told if "content" in each]


@asynccontextmanager
async def listening(discord: fake.Discord, patience: float = 45.0) -> AsyncIterator[Heard]:
    heard = Heard(discord, patience)
    running = asyncio.create_task(heard.line.run())
    try:
        await heard.until_open()
        yield heard
    finally:
        running.cancel()
        await asyncio.wait([running])
        await heard.rest.close()


async def ended(discord: fake.Discord) -> Exception:
    """How a line ends by itself."""
    heard = Heard(discord, 45.0)
    try:
        async with asyncio.timeout(20):
            await heard.line.run()
    except (AccountRefused, Unavailable) as error:
        return error
    finally:
        await heard.rest.close()
    raise AssertionError("it went on")


async def test_a_frame_that_is_too_large_is_not_read_and_not_asked_for_again_for_ever(
    discord: fake.Discord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channels.discord.line.LARGEST_FRAME", 100_000)

    async def say() -> None:
        await until(lambda: discord.gateway.listening == 1, "a session")
        place = discord.direct(discord.person("a"))
        await discord.say(place, discord.person("a"), "x" * 1_000_000)

    saying = asyncio.create_task(say())
    failure = await ended(discord)
    await saying
    assert isinstance(failure, Unavailable)
    assert "over 100,000 bytes" in str(failure)
    assert discord.gateway.log == ["identify", *["resume"] * 4]
    # What is compressed may become larger than any frame.
    assert all("compress" not in each for each in discord.gateway.asked)


async def test_a_line_that_breaks_often_is_resumed_each_time(discord: fake.Discord) -> None:
    async with listening(discord):
        for number in range(1, 8):
            await discord.gateway.drop(4000)
            resumed = ["identify", *["resume"] * number]
            await until(lambda wanted=resumed: discord.gateway.log == wanted, "resumed")  # type: ignore[misc]
            await until(lambda: discord.gateway.listening == 1, "a session")


async def test_events_come_as_they_were_told_and_in_order(discord: fake.Discord) -> None:
    async with listening(discord) as heard:
        place = discord.direct(discord.person("a"))
        for number in range(50):
            await discord.say(place, discord.person("a"), f"{number}")
        await until(lambda: len(heard.said) == 50, "all")
        assert heard.said == [str(number) for number in range(50)]
        assert [name for name, _ in heard.events[:2]] == ["READY", "GUILD_CREATE"]


async def test_a_broken_connection_is_resumed_and_what_was_missed_comes(
    discord: fake.Discord,
) -> None:
    async with listening(discord) as heard:
        place = discord.direct(discord.person("a"))
        await discord.say(place, discord.person("a"), "before")
        await discord.gateway.drop(4000)
        await discord.say(place, discord.person("a"), "meanwhile")
        await until(lambda: heard.said == ["before", "meanwhile"], "both")
        assert discord.gateway.log == ["identify", "resume"]


async def test_a_forgotten_session_is_begun_anew(discord: fake.Discord) -> None:
    async with listening(discord) as heard:
        discord.gateway.forget()
        await discord.gateway.drop(4000)
        await until(lambda: discord.gateway.log == ["identify", "identify"], "a new session")
        await until(lambda: [n for n, _ in heard.events].count("READY") == 2, "its beginning")


async def test_an_event_that_the_library_could_not_read_does_not_end_the_line(
    discord: fake.Discord,
) -> None:
    async with listening(discord) as heard:
        await discord.gateway.tell("MESSAGE_CREATE", {"author": 7})
        await discord.gateway.tell("GUILD_CREATE", {"channels": "none"})
        await discord.say(discord.direct(discord.person("a")), discord.person("a"), "next")
        await until(lambda: heard.said == ["next"], "the next")
        assert discord.gateway.log == ["identify"]


async def test_a_quiet_platform_is_asked_for_a_sign_of_life(discord: fake.Discord) -> None:
    async with listening(discord, patience=0.8) as heard:
        before = discord.gateway.heartbeats
        await until(lambda: discord.gateway.heartbeats >= before + 5, "heartbeats")
        assert heard.pulse.silence < 0.8
        assert discord.gateway.log == ["identify"]


async def test_a_dead_line_is_broken_and_resumed_within_its_patience(
    discord: fake.Discord,
) -> None:
    async with listening(discord, patience=2.0) as heard:
        discord.gateway.die()
        await discord.say(discord.direct(discord.person("a")), discord.person("a"), "hello?")
        await until(lambda: heard.said == ["hello?"], "what was missed")
        assert discord.gateway.log == ["identify", "resume"]


async def test_a_void_token_names_the_next_step(discord: fake.Discord) -> None:
    await discord.void_token()
    assert isinstance(error := await ended(discord), AccountRefused)
    assert "Reset Token" in str(error)


async def test_a_token_that_is_made_void_ends_the_line_for_good(discord: fake.Discord) -> None:
    end = asyncio.create_task(ended(discord))
    await until(lambda: discord.gateway.listening == 1, "a session")
    await discord.void_token()
    assert isinstance(await end, AccountRefused)


async def test_an_intent_that_is_not_switched_on_names_the_next_step(
    discord: fake.Discord,
) -> None:
    discord.gateway.content_allowed = False
    assert isinstance(error := await ended(discord), AccountRefused)
    assert "Message Content Intent" in str(error)


async def test_the_last_sessions_of_the_day_are_kept(discord: fake.Discord) -> None:
    discord.sessions_left = 4
    assert isinstance(error := await ended(discord), Unavailable)
    assert error.retry_after == 9000
    assert discord.gateway.log == []


@pytest.mark.parametrize("token", ["", "no token", "bm90IGEgbnVtYmVy.x.y", "\u00e9.x"])
def test_what_is_no_token_is_refused_without_asking_anybody(token: str) -> None:
    with pytest.raises(AccountRefused, match="Reset Token"):
        bot_id(token)


def test_a_token_says_whose_it_is() -> None:
    assert bot_id(fake.TOKEN) == fake.BOT_ID
