from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from channels.discord.lanes import Lanes
from tests.fixtures.core import until


@pytest.fixture
async def lanes() -> AsyncIterator[Lanes]:
    lanes = Lanes(3)
    running = asyncio.create_task(lanes.run())
    yield lanes
    running.cancel()
    await asyncio.wait([running])


class Work:
    """Some work that takes until it is let go."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.gate = asyncio.Event()

    async def at_once(self, name: str) -> None:
        self.done.append(name)

    async def at_last(self, name: str) -> None:
        await self.gate.wait()
        self.done.append(name)


async def test_a_lane_keeps_its_order_and_stops_no_other(lanes: Lanes) -> None:
    work = Work()
    lanes.put("slow", lambda: work.at_last("first"))
    lanes.put("slow", lambda: work.at_once("second"))
    lanes.put("quick", lambda: work.at_once("third"))
    await until(lambda: work.done == ["third"], "the quick lane")
    work.gate.set()
    await until(lambda: work.done == ["third", "first", "second"], "all")


async def test_a_full_house_takes_only_what_must_not_be_forgotten(lanes: Lanes) -> None:
    work = Work()
    assert all(lanes.put("slow", lambda: work.at_last("one")) for _ in range(3))
    assert not lanes.put("quick", lambda: work.at_once("two"))
    assert lanes.put("quick", lambda: work.at_once("three"), however_full=True)
    work.gate.set()
    await until(lambda: work.done.count("one") == 3, "room")
    assert lanes.put("quick", lambda: work.at_once("four"))
    await until(lambda: "four" in work.done, "the next")
    assert "two" not in work.done
