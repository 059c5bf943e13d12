from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from channels.discord.queues import Queues
from tests.fixtures.core import until


@pytest.fixture
async def queues() -> AsyncIterator[Queues]:
    queues = Queues(3)
    running = asyncio.create_task(queues.run())
    yield queues
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


async def test_a_queue_keeps_its_order_and_stops_no_other(queues: Queues) -> None:
    work = Work()
    queues.put("slow", lambda: work.at_last("first"))
    queues.put("slow", lambda: work.at_once("second"))
    queues.put("quick", lambda: work.at_once("third"))
    await until(lambda: work.done == ["third"], "the quick queue")
    work.gate.set()
    await until(lambda: work.done == ["third", "first", "second"], "all")


async def test_a_full_house_takes_only_what_must_not_be_forgotten(queues: Queues) -> None:
    work = Work()
    assert all(queues.put("slow", lambda: work.at_last("one")) for _ in range(3))
    assert not queues.put("quick", lambda: work.at_once("two"))
    assert queues.put("quick", lambda: work.at_once("three"), however_full=True)
    work.gate.set()
    await until(lambda: work.done.count("one") == 3, "room")
    assert queues.put("quick", lambda: work.at_once("four"))
    await until(lambda: "four" in work.done, "the next")
    assert "two" not in work.done
