"""Removals that meet somebody who writes there at that moment."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg

from opencraw.queue.turns import SQL as TURNS
from opencraw.sessions.keeping import Keeping
from tests.fixtures.core import Core, running, session_of, until
from tests.fixtures.script import Held


async def begin_turn(connection: asyncpg.Connection) -> None:
    """Another node begins a turn with the message that waits."""
    message = await connection.fetchval("SELECT id FROM inbox WHERE state = 'waiting'")
    row = (
        uuid4(), session_of(), uuid4(), str(message), "", uuid4(), "channel", "message", "owner",
        "script/one", 0, 0, 0, "interactive", "", 0, 0, uuid4(), "id of owner", "test", "account",
        "a", "",
    )  # fmt: skip
    [begun] = await connection.fetch(TURNS.start_turn, *([value] for value in row))
    assert begun["ord"] == 1


async def waits_for_a_lock(core: Core) -> bool:
    return bool(await core.fetch("SELECT FROM pg_locks WHERE NOT granted"))


async def test_a_conversation_is_not_removed_when_a_turn_begins_at_that_moment(
    database_url: str,
) -> None:
    async with running(database_url, start=False) as core:
        await core.say("a new question")
        other = await asyncpg.connect(database_url)
        async with other.transaction():
            await begin_turn(other)
            removal = asyncio.create_task(
                Keeping(core.database).remove(session_of(), datetime.now(UTC))
            )
            await until(lambda: waits_for_a_lock(core))
        async with asyncio.timeout(10):
            assert not await removal
        [row] = await core.fetch("SELECT removed_seq, last_seq FROM session")
        assert tuple(row) == (0, 1)
        [row] = await core.fetch("SELECT text, state FROM inbox")
        assert tuple(row) == ("a new question", "taken")
        await other.close()


async def test_a_word_that_is_said_there_at_that_moment_goes_with_the_others(
    database_url: str,
) -> None:
    async with running(database_url) as core:
        await core.asked("hello")
        await core.settled()
        other = await asyncpg.connect(database_url)
        async with other.transaction():
            await other.execute(
                "WITH numbered AS (UPDATE session SET last_seq = last_seq + 1 RETURNING *)"
                " INSERT INTO entry (session_id, seq, kind, text, message_id)"
                " SELECT id, last_seq, 'notice', 'a notice', gen_random_uuid() FROM numbered"
            )
            removal = asyncio.create_task(
                Keeping(core.database).remove(session_of(), datetime.now(UTC))
            )
            await until(lambda: waits_for_a_lock(core))
        assert await removal
        assert await core.fetch("SELECT FROM entry") == []
        await other.close()


async def test_what_cannot_be_removed_yet_is_left_for_later(database_url: str) -> None:
    held = Held()
    async with running(database_url, held) as core:
        await core.say("long")
        await held.reached.wait()
        await core.fetch(
            "UPDATE session SET removed_seq = last_seq, reset_seq = last_seq,"
            " flushed_seq = last_seq RETURNING id"
        )
        keeping = Keeping(core.database)
        async with asyncio.timeout(10):
            await keeping.finish_removals()
        assert len(await core.fetch("SELECT FROM entry")) == 1
        held.release()
        await core.settled()
        await keeping.finish_removals()
        assert await core.fetch("SELECT FROM entry") == []
