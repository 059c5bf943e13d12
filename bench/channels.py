"""What channels cost: each with the real daemon, on the platform that its conformance tests run on.

Times end when Postgres tells another connection of the message, which it does once that is
committed; so they are too long rather than too short.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from pathlib import Path

import asyncpg

from bench.figures import Figures, percentile, postgres_of
from opencraw.store.embedded import EmbeddedPostgres
from opencraw.store.migrations import migrate
from tests.channels.house import House, housed
from tests.channels.platform import Platform
from tests.channels.test_imports import LIBRARIES
from tests.fixtures.core import PATIENCE, until
from tests.fixtures.database import in_database

CHANNELS = ("telegram", "discord", "http", "linear", "email", "gmail")
_MESSAGES = 50
#: Gmail is asked at most once a second.
_FEWER_MESSAGES = {"gmail": 25}
_CHATS = 10
_SETTLED_SECONDS = 5.0
_IMPORTED = re.compile(r"^import time: .* ([\w.]+)$", re.MULTILINE)

_TELL = """
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_notify(''committed'', right(NEW.text, 1000)); RETURN NULL; END';
CREATE TRIGGER tell AFTER INSERT ON inbox FOR EACH ROW EXECUTE FUNCTION tell();
"""


def platform_of(channel: str) -> Platform:
    """The platform of a channel's tests."""
    module = importlib.import_module(f"tests.channels.{channel}.platform")
    platform: Platform = module.PLATFORM()
    return platform


async def database_of(postgres: EmbeddedPostgres, name: str) -> str:
    """A migrated database of one measure's own."""
    connection = await asyncpg.connect(postgres.url)
    await connection.execute(f"CREATE DATABASE bench_{name}")
    await connection.close()
    url = in_database(postgres.url, f"bench_{name}")
    await migrate(url)
    return url


async def receiving(folder: Path) -> Figures:
    """From a platform's event to a committed envelope, and how far drafts lag behind."""
    figures: Figures = {}
    async with postgres_of(folder) as postgres:
        for channel in CHANNELS:
            async with platform_of(channel) as platform:
                place = folder / channel
                place.mkdir()
                url = await database_of(postgres, channel)
                async with housed(platform, place, url) as house, _commits(url) as commits:
                    await house.begin(access={"mode": "open"})
                    took = await _received(house, commits)
                    figures[f"{channel}: event to envelope, p50 (ms)"] = percentile(took, 0.5)
                    figures[f"{channel}: event to envelope, p95 (ms)"] = percentile(took, 0.95)
                    if type(platform).drafts is not Platform.drafts:
                        lag = await _lag(house)
                        figures[f"{channel}: draft behind its pace, p95 (ms)"] = lag
    figures["channel_receive"] = max(
        value for name, value in figures.items() if name.endswith("envelope, p95 (ms)")
    )
    figures["channel_lag"] = max(value for name, value in figures.items() if "behind" in name)
    figures["load of the machine"] = os.getloadavg()[0]
    return figures


class _Commits:
    """When each message was committed, by what it says at its end."""

    def __init__(self) -> None:
        self._at: dict[str, float] = {}
        self._news = asyncio.Event()

    def note(self, *told: object) -> None:
        self._at[str(told[-1])] = time.monotonic()
        self._news.set()

    async def of(self, word: str) -> float:
        async with asyncio.timeout(PATIENCE):
            while True:
                for text, at in self._at.items():
                    if word in text:
                        return at
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def _commits(url: str) -> AsyncIterator[_Commits]:
    commits = _Commits()
    connection = await asyncpg.connect(url)
    await connection.execute(_TELL)
    await connection.add_listener("committed", commits.note)
    try:
        yield commits
    finally:
        await connection.close()


async def _received(house: House, commits: _Commits) -> list[float]:
    """Milliseconds from when the platform hands out an event until it is committed, one after the
    other: nothing else happens meanwhile. Waiting for the next poll is not in it, what a channel
    asks its platform before it knows the whole message is."""
    took = []
    channel = house.platform.channel
    for number in range(_FEWER_MESSAGES.get(channel, _MESSAGES)):
        word = f"number-{number}."
        key = await house.platform.says(f"[[say {word}]]", chat=f"guest-{number % _CHATS}")
        committed = await commits.of(word)
        took.append((committed - house.platform.handed_out(key)) * 1e3)
        await house.at_rest()
    return took


async def _lag(house: House) -> float:
    """By how many milliseconds the pause between two drafts is longer than the platform's, while
    there is always something new to draw."""
    before = len(house.platform.drafts())
    await house.platform.says("[[words 150]] [[delay 0.04]]")
    await until(lambda: len(house.platform.drafts()) > before, "a draft")
    await house.at_rest()
    drafts = house.platform.drafts()[before:-1]
    pauses = [after.at - draft.at for draft, after in pairwise(drafts)]
    return (percentile(pauses, 0.95) - house.platform.interval) * 1e3


async def weight(folder: Path) -> Figures:
    """What enabling all channels adds to a daemon that has but WebChat."""
    figures: Figures = {}
    async with postgres_of(folder) as postgres, AsyncExitStack() as opened:
        first, *others = [await opened.enter_async_context(platform_of(name)) for name in CHANNELS]
        weights = []
        for number, beside in enumerate(([], others)):
            place = folder / f"weight-{number}"
            place.mkdir()
            url = await database_of(postgres, f"weight_{number}")
            async with housed(first, place, url) as house:
                house.beside = beside
                await house.begin(enabled=bool(beside))
                await _all_run(house)
                await asyncio.sleep(_SETTLED_SECONDS)
                weights.append(_resident_megabytes(house.pid))
                if beside:
                    await _each_answers(house)
                    figures["… and when each has answered (MB)"] = (
                        _resident_megabytes(house.pid) - weights[0]
                    )
        figures["channel_imports"] = await _imported_for_nothing(folder, postgres, first)
    figures["WebChat alone (MB)"] = weights[0]
    return {"channel_memory": weights[1] - weights[0], **figures}


async def _all_run(house: House) -> None:
    async def run() -> bool:
        return {each["state"] for each in await house.channels()} == {"running"}

    await until(run, "all channels run")


async def _each_answers(house: House) -> None:
    platforms = (house.platform, *house.beside)
    for platform in platforms:
        await platform.says("[[say Good morning.]]")
    for platform in platforms:
        await until(platform.shown, f"an answer on {platform.channel}")
    await house.at_rest()


async def _imported_for_nothing(
    folder: Path, postgres: EmbeddedPostgres, platform: Platform
) -> float:
    """How many of the channels' libraries a daemon loads that has none of the channels."""
    place = folder / "imports"
    place.mkdir()
    async with housed(platform, place, await database_of(postgres, "imports")) as house:
        house.environ = {"PYTHONPROFILEIMPORTTIME": "1"}
        await house.begin(enabled=False)
        loaded = {name.partition(".")[0] for name in _IMPORTED.findall(house.log)}
    assert "opencraw" in loaded
    return len(loaded & set().union(*LIBRARIES.values()))


def _resident_megabytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024
