"""How fast people may speak, and who waits for whose command."""

from __future__ import annotations

import asyncio
import time
from uuid import UUID

import pytest
from msgspec.structs import replace

from opencraw.errors import Refused, SlowDown
from opencraw.gateway.desk import Desk, Outlets
from opencraw.gateway.door import Door
from opencraw.gateway.models import Models
from opencraw.sessions.transcript import Session, Sessions
from opencraw.store.database import Database
from tests.fixtures.core import MODEL, Core, envelope, is_whole, running, session_of


async def test_what_comes_too_fast_is_refused_before_anything_is_stored(
    database_url: str,
) -> None:
    async with running(database_url, per_minute=3, start=False) as core:
        for number in range(3):
            await core.say(f"{number}", f"chat {number}")
        for text in ("four", "/status"):
            with pytest.raises(SlowDown, match="3 messages a minute") as slow:
                await core.say(text)
            assert (slow.value.code, slow.value.status) == ("RATE_LIMITED", 429)
            assert 0 < slow.value.retry_after <= 20
        rows = await core.fetch("SELECT text FROM inbox ORDER BY id")
        assert [row["text"] for row in rows] == ["0", "1", "2"]
        assert await core.fetch("SELECT FROM session WHERE id = $1", session_of()) == []


async def test_what_we_catch_up_on_is_taken_as_it_would_have_been(database_url: str) -> None:
    async with running(database_url, per_minute=2, start=False) as core:
        hour = time.time() - 3_600
        for number in range(6):
            late = replace(envelope(f"{number}"), written_at=hour + 60 * (number // 2))
            await core.door.accept(late)
        with pytest.raises(SlowDown):
            await core.door.accept(replace(envelope("six"), written_at=hour))
        with pytest.raises(Refused):
            await core.door.accept(replace(envelope("/stop at once"), written_at=hour))
        await core.door.accept(replace(envelope("/stop"), written_at=hour))
        rows = await core.fetch("SELECT text FROM inbox ORDER BY id")
        assert [row["text"] for row in rows] == ["0", "1", "2", "3", "4", "5", "/stop"]


async def test_stop_is_heard_however_much_was_said_before(database_url: str) -> None:
    async with running(database_url, per_minute=3) as core:
        for _ in range(3):
            await core.say("/help", "elsewhere")
        for words in ("/stop at once", f"/stop{' ' * 1000}"):
            with pytest.raises(Refused):
                await core.say(words)
        for number in range(3):
            assert (await core.asked("/stop", f"chat {number}")).text.startswith("There was")
        with pytest.raises(SlowDown):
            await core.say("/stop")


async def test_nobody_fills_the_disk_with_commands(database_url: str) -> None:
    async with running(database_url) as core:
        with pytest.raises(Refused, match="at most 1,000 characters"):
            await core.say(f"/stop{' ' * 1000}")
        assert await core.fetch("SELECT FROM inbox") == []


async def test_what_a_platform_offers_again_is_not_refused(database_url: str) -> None:
    async with running(database_url, per_minute=1) as core:
        same = envelope("hello")
        first = await core.door.accept(same)
        for _ in range(10):
            assert (await core.door.accept(same)).message_id == first.message_id
        await core.settled()
        await is_whole(core.database)
        assert core.channel.texts() == ["echo hello"]


class _Slow(Sessions):
    """A database that is slow about one conversation."""

    def __init__(self, database: Database, slow: UUID) -> None:
        super().__init__(database)
        self._slow = slow
        self.reached = asyncio.Event()
        self.may_go_on = asyncio.Event()

    async def session(self, session: UUID) -> Session | None:
        if session == self._slow:
            self.reached.set()
            await self.may_go_on.wait()
        return await super().session(session)


def door_of(core: Core, sessions: Sessions) -> Door:
    desk = Desk(
        inbox=core.inbox,
        sessions=sessions,
        lanes=core.dispatcher,
        rules=core.rules,
        models=Models(MODEL, {MODEL: "main"}),
        outlets=Outlets(core.outbox.post, lambda _address, _event: None, lambda: ("test",)),
    )
    return Door(desk, core.opened.entrance)


async def test_a_slow_command_delays_no_other_conversation(database_url: str) -> None:
    async with running(database_url) as core:
        sessions = _Slow(core.database, session_of("slow"))
        door = door_of(core, sessions)
        slow = asyncio.create_task(door.accept(envelope("/status", "slow")))
        await sessions.reached.wait()
        await door.accept(envelope("/status", "quick"))
        assert (await core.delivered(1, "quick"))[0].startswith("- model")
        assert not slow.done()
        sessions.may_go_on.set()
        await slow
        await core.delivered(1, "slow")


async def test_commands_of_one_conversation_are_answered_one_after_the_other(
    database_url: str,
) -> None:
    """Each sees what the one before it changed."""
    async with running(database_url) as core:
        sessions = _Slow(core.database, session_of())
        door = door_of(core, sessions)
        words = ["/queue collect", "/queue cap:7", "/queue debounce:1s", "/queue drop:newest"]
        all_at_once = [asyncio.create_task(door.accept(envelope(word))) for word in words]
        await sessions.reached.wait()
        sessions.may_go_on.set()
        await asyncio.gather(*all_at_once)
        session = await core.sessions.session(session_of())
        assert session is not None
        choice = session.choice
        assert (choice.mode, choice.cap, choice.debounce_ms, choice.drop) == (
            "collect", 7, 1000, "newest"
        )  # fmt: skip
        assert len(door._answering._locks) == 0, "nobody waits, so nothing is remembered"
