from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest

from opencraw.gateway.turnstile import Turnstile

FLOODED, QUIET = uuid4(), uuid4()


@pytest.fixture
def crowded() -> set[UUID]:
    return {FLOODED}


@pytest.fixture
def turnstile(crowded: set[UUID]) -> Turnstile:
    return Turnstile(lambda session: session in crowded)


async def test_a_crowded_lane_is_entered_one_by_one_and_in_order(turnstile: Turnstile) -> None:
    entered: list[int] = []
    inside = 0

    async def enter(number: int) -> None:
        nonlocal inside
        async with turnstile.through(FLOODED):
            inside += 1
            assert inside == 1
            await asyncio.sleep(0)
            entered.append(number)
            inside -= 1

    await asyncio.gather(*(enter(number) for number in range(20)))
    assert entered == list(range(20))


async def test_nobody_else_is_held_up_by_it(turnstile: Turnstile) -> None:
    async with turnstile.through(FLOODED):
        queue = asyncio.create_task(turnstile.through(FLOODED).__aenter__())
        rounds = 0
        async with turnstile.through(QUIET), turnstile.through(QUIET):
            rounds += 1
        assert rounds == 1
        assert not queue.done()
        queue.cancel()


async def test_whoever_comes_when_the_crowd_is_gone_does_not_overtake_those_who_queue(
    turnstile: Turnstile, crowded: set[UUID]
) -> None:
    entered = []

    async def enter(name: str) -> None:
        async with turnstile.through(FLOODED):
            entered.append(name)

    async with turnstile.through(FLOODED):
        early = asyncio.create_task(enter("early"))
        await asyncio.sleep(0)
        crowded.clear()
        late = asyncio.create_task(enter("late"))
        await asyncio.sleep(0)
        assert entered == []
    await asyncio.gather(early, late)
    assert entered == ["early", "late"]


async def test_a_queue_that_was_given_up_is_forgotten(turnstile: Turnstile) -> None:
    async with turnstile.through(FLOODED):
        waits = asyncio.create_task(turnstile.through(FLOODED).__aenter__())
        await asyncio.sleep(0)
        waits.cancel()
        await asyncio.wait([waits])
    assert turnstile._gates == {}
