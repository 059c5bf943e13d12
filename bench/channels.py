"""What channels cost: each on the platform that its conformance tests run on."""

from __future__ import annotations

import asyncio
import importlib
import random
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from itertools import pairwise
from pathlib import Path

import asyncpg

from bench.figures import Figures, percentile, postgres_of
from opencraw.store.embedded import EmbeddedPostgres
from opencraw.store.migrations import migrate
from tests.channels.house import House, housed
from tests.channels.platform import Platform
from tests.fixtures.core import until
from tests.fixtures.database import in_database

#: Those that tell us of each event, and those at which we look every now and then.
TOLD = ("telegram", "discord", "http")
LOOKED_AT = ("email", "gmail", "linear")
_MESSAGES = 50
_KILLS = 50
_SEED = 5


def platform_of(channel: str) -> Platform:
    """The platform of a channel's tests."""
    module = importlib.import_module(f"tests.channels.{channel}.platform")
    platform: Platform = module.PLATFORM()
    return platform


async def receiving(folder: Path) -> Figures:
    """From a platform's event to a committed envelope, and how far drafts lag behind."""
    figures: Figures = {}
    async with postgres_of(folder) as postgres:
        for channel in TOLD + LOOKED_AT:
            async with platform_of(channel) as platform:
                place = folder / channel
                place.mkdir()
                url = await _database(postgres, channel)
                async with housed(platform, place, url) as house:
                    await house.open(access={"mode": "open"})
                    if _draws(platform):
                        figures[f"{channel}: draft behind its pace, p95 (ms)"] = await _lag(house)
                    figures[f"{channel}: event to envelope, p95 (ms)"] = await _received(house)
    figures["channel_receive"] = max(
        value for name, value in figures.items() if name.startswith(TOLD) and "envelope" in name
    )
    figures["channel_lag"] = max(value for name, value in figures.items() if "behind" in name)
    return figures


async def _received(house: House) -> float:
    said: dict[str, float] = {}
    for number in range(_MESSAGES):
        word = f"number-{number}."
        said[word] = time.time()
        # Each in a chat of its own, so that no pace of answers matters.
        await house.platform.says(f"[[say {word}]]", chat=f"guest-{number}")
        await until(partial(house.count, "inbox WHERE text LIKE '%' || $1 || '%'", word))
    rows = await house.database.fetch(
        "SELECT text, extract(epoch FROM accepted_at)::float AS at FROM inbox"
    )
    took = [
        row["at"] - began for row in rows for word, began in said.items() if word in row["text"]
    ]
    return percentile(took, 0.95) * 1e3


def _draws(platform: Platform) -> bool:
    return type(platform).drafts is not Platform.drafts


async def _lag(house: House) -> float:
    before = len(house.platform.drafts())
    await house.platform.says("[[words 150]] [[delay 0.04]]")
    await until(lambda: len(house.platform.drafts()) > before, "a draft")
    await house.at_rest()
    drafts = house.platform.drafts()[before:-1]
    pauses = [after.at - draft.at for draft, after in pairwise(drafts)]
    return (percentile(pauses, 0.95) - house.platform.interval) * 1e3


async def kills(folder: Path) -> Figures:
    """Kill the daemon at any moment between an event and its answer, and count."""
    figures: Figures = {"channel_lost": 0, "channel_copies": 0}
    async with postgres_of(folder) as postgres:
        for channel in TOLD + LOOKED_AT:
            async with platform_of(channel) as platform:
                place = folder / channel
                place.mkdir()
                url = await _database(postgres, channel)
                async with housed(platform, place, url) as house:
                    shown = await _killed(house)
            lost = sum(not shown[number] for number in range(_KILLS))
            figures[f"{channel}: lost of {_KILLS}"] = lost
            figures[f"{channel}: seen twice of {_KILLS}"] = sum(n > 1 for n in shown.values())
            figures["channel_lost"] += lost
            figures["channel_copies"] = max(figures["channel_copies"], *shown.values())
    return figures


async def _killed(house: House) -> Mapping[int, int]:
    dice = random.Random(_SEED)
    for number in range(_KILLS):
        await house.begin()
        await house.platform.says(f"[[say number-{number}.]]")
        await asyncio.sleep(dice.random() * 0.08)
        await house.kill()
    await house.begin()
    await house.platform.says("[[say The end.]]")
    await house.sees("The end.")
    await house.at_rest()
    shown = house.platform.shown()
    return Counter(
        number for text in shown for number in range(_KILLS) if f"number-{number}." in text
    )


async def weight(folder: Path) -> Figures:
    """What a daemon weighs with all channels, and with one."""
    async with postgres_of(folder) as postgres, AsyncExitStack() as opened:
        first, *others = [
            await opened.enter_async_context(platform_of(name)) for name in TOLD + LOOKED_AT
        ]
        weights = []
        for number, beside in enumerate(([], others)):
            place = folder / f"weight-{number}"
            place.mkdir()
            url = await _database(postgres, f"weight_{number}")
            async with housed(first, place, url) as house:
                house.beside = beside
                await house.begin(enabled=bool(beside))
                await asyncio.sleep(5)
                weights.append(_resident_megabytes(house.pid))
                states = {each["name"]: each["state"] for each in await house.channels()}
                assert set(states.values()) == {"running"}, states
    return {"channel_memory": weights[1] - weights[0], "WebChat alone (MB)": weights[0]}


def _resident_megabytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


async def _database(postgres: EmbeddedPostgres, name: str) -> str:
    connection = await asyncpg.connect(postgres.url)
    await connection.execute(f"CREATE DATABASE bench_{name}")
    await connection.close()
    url = in_database(postgres.url, f"bench_{name}")
    await migrate(url)
    return url
