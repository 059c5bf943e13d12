"""A lane that takes no more: drop = "block"."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pytest

from opencraw.errors import QueueFull, Unavailable
from opencraw.queue.inbox import Inbox, Lane
from opencraw.store.database import Database
from tests.fixtures.core import Core, address, envelope, is_whole, running, session_of, until
from tests.fixtures.script import Held


async def whole(core: Core) -> None:
    await core.settled()
    await is_whole(core.database)


async def burst(core: Core, count: int) -> int:
    """Say so much at once; returns how many messages were taken."""
    said = (core.say(f"{number}") for number in range(count))
    answers = await asyncio.gather(*said, return_exceptions=True)
    assert all(isinstance(each, QueueFull) for each in answers if isinstance(each, Exception))
    return sum(not isinstance(each, Exception) for each in answers)


async def test_many_at_once_do_not_slip_past_the_cap(database_url: str) -> None:
    held = Held()
    async with running(database_url, held, mode="followup", cap=3, drop="block") as core:
        await core.say("think")
        await held.reached.wait()
        assert await burst(core, 200) == 3
        assert core.dispatcher.waiting(session_of()) == 3
        held.release()
        await whole(core)
        assert await burst(core, 200) <= 1 + 3, "a turn may have begun meanwhile"
        await whole(core)


async def test_the_first_burst_into_a_lane_that_nobody_knows_is_bounded_too(
    database_url: str,
) -> None:
    async with running(database_url, cap=3, drop="block", start=False) as core:
        assert await burst(core, 200) == 3
        assert len(await core.fetch("SELECT FROM inbox")) == 3
        assert core.dispatcher.waiting(session_of("b")) == 0


class _Slow(Inbox):
    """A database that is slow to tell who waits."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()

    async def waiting(self, sessions: Sequence[UUID]) -> Sequence[Lane]:
        lanes = await super().waiting(sessions)
        self.asked.set()
        await self.may_answer.wait()
        return lanes


async def test_those_who_come_while_a_turn_is_being_begun_count(database_url: str) -> None:
    async with running(database_url, mode="followup", cap=3, drop="block") as core:
        slow = core.dispatcher._inbox = _Slow(core.database)
        await core.say("think")
        await slow.asked.wait()
        assert [await burst(core, 1) for _ in range(5)] == [1, 1, 0, 0, 0]
        slow.may_answer.set()
        await whole(core)


async def test_who_comes_in_vain_leaves_no_place_taken(database_url: str) -> None:
    class Away(Inbox):
        async def accept(self, *_: object, **__: object) -> None:  # type: ignore[override]
            raise Unavailable("away")

    async with running(database_url, cap=1, drop="block", start=False) as core:
        there, core.door._inbox = core.door._inbox, Away(core.database)
        for _ in range(3):
            with pytest.raises(Unavailable):
                await core.say("hello?")
        core.door._inbox = there
        await core.say("hello")
        assert not core.door._coming, "what is over is forgotten"


async def test_a_repeat_of_what_was_accepted_gets_its_receipt_although_the_lane_is_full(
    database_url: str,
) -> None:
    """The platform did not hear us acknowledge it. To refuse it now would be a lie."""
    held = Held()
    async with running(database_url, held, mode="followup", cap=1, drop="block") as core:
        await core.say("one")
        await held.reached.wait()
        waits = envelope("two")
        first = await core.door.accept(waits)
        again = await core.door.accept(waits)
        assert again.message_id == first.message_id
        assert again.duplicate
        with pytest.raises(QueueFull, match="1 messages of this conversation wait"):
            await core.say("three")
        held.release()
        await whole(core)
        assert core.channel.texts() == ["released", "echo two"]


async def test_what_was_taken_back_makes_room(database_url: str) -> None:
    held = Held()
    async with running(database_url, held, mode="followup", cap=1, drop="block") as core:
        await core.say("one")
        await held.reached.wait()
        receipt = await core.say("two")
        assert not await core.reader.withdraw(address("b"), receipt.message_id)
        assert await core.reader.withdraw(address(), receipt.message_id)
        await core.say("three")
        held.release()
        await whole(core)
        assert core.channel.texts() == ["released", "echo three"]


async def test_what_gave_up_its_place_makes_no_room_when_it_is_taken_back(
    database_url: str,
) -> None:
    held = Held()
    async with running(database_url, held, mode="followup", cap=1) as core:
        await core.say("one")
        await held.reached.wait()
        first = await core.say("two")
        await core.say("three")

        async def given_up() -> bool:
            return ("two", "summarized") in await core.outcomes()

        await until(given_up)
        await until(lambda: core.dispatcher.waiting(session_of()) == 1)
        assert await core.reader.withdraw(address(), first.message_id)
        assert core.dispatcher.waiting(session_of()) == 1, "the other waits still"
        held.release()
        await whole(core)


async def test_a_repeat_of_what_was_muted_is_told_so_although_the_lane_is_full(
    database_url: str,
) -> None:
    held = Held()
    async with running(database_url, held, mode="followup", cap=1, drop="block") as core:
        await core.say("/send off")
        muted = envelope("psst")
        assert (await core.door.accept(muted)).muted
        await core.say("/send on")
        await core.say("one")
        await held.reached.wait()
        await core.say("two")
        again = await core.door.accept(muted)
        assert (again.duplicate, again.muted) == (True, True)
        held.release()
        await whole(core)
