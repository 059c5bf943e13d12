from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

import asyncpg
import pytest

from opencraw.queue.inbox import Inbox
from opencraw.queue.modes import Start
from opencraw.queue.turns import Turns
from opencraw.store.database import Database
from tests.fixtures.core import accept, envelope, session_of, until
from tests.queue.lane import (
    DONE,
    begin,
    count,
    ids,
    lane_of,
    lines,
    one,
    say,
    start,
    states,
    turn_for,
)

# Start.


async def test_a_turn_takes_its_messages_and_writes_them_down(
    database: Database, inbox: Inbox, turns: Turns
) -> None:
    await say(inbox, "one", "two", "three")
    lane = await lane_of(inbox)
    first, second, third = ids(lane.messages)
    decision = Start(takes=(second, third), supersedes=(first,), collected=2, debounced=3)
    assert await start(turns, turn_for(turns), lane, decision)
    assert await lines(database) == [(1, "user", "one"), (2, "user", "two"), (3, "user", "three")]
    assert await states(database) == [
        ("one", "taken", "superseded"),
        ("two", "taken", None),
        ("three", "taken", None),
    ]
    row = await one(database, "SELECT * FROM turn")
    assert row["queue_collected_messages"] == 2
    assert row["queue_debounced_messages"] == 3
    assert row["queue_dropped_messages"] == 1
    rows = await database.fetch("SELECT disposition FROM entry ORDER BY seq")
    assert [row["disposition"] for row in rows] == ["superseded", "asked", "asked"]


async def test_of_two_nodes_that_start_the_same_lane_one_wins(
    database: Database, database_url: str, inbox: Inbox, turns: Turns
) -> None:
    async with await Database.open(database_url) as other_database:
        other = Turns(other_database, uuid4())
        for number in range(20):
            chat = f"chat {number}"
            await say(inbox, "one", "two", chat=chat)
            lane = await lane_of(inbox, chat)
            all_, newest = ids(lane.messages), ids(lane.messages)[-1:]
            begun = await asyncio.gather(
                start(turns, turn_for(turns, chat), lane, Start(takes=all_)),
                start(other, turn_for(other, chat), lane, Start(takes=newest)),
            )
            assert sorted(begun) == [False, True]
    assert await count(database, "turn") == 20


async def test_a_turn_starts_with_all_of_its_messages_or_not_at_all(
    database: Database, inbox: Inbox, turns: Turns
) -> None:
    receipts = await say(inbox, "one", "two")
    lane = await lane_of(inbox)
    assert await inbox.withdraw(session_of(), receipts[0].message_id)
    assert not await start(turns, turn_for(turns), lane, Start(takes=ids(lane.messages)))
    assert await states(database) == [("one", "done", "withdrawn"), ("two", "waiting", None)]
    assert await count(database, "turn") == await count(database, "entry") == 0


async def test_a_message_that_is_taken_back_at_this_very_moment_is_not_answered(
    database: Database, database_url: str, inbox: Inbox, turns: Turns
) -> None:
    """Another node is about to commit that; whoever starts a turn has to wait and look again."""
    await say(inbox, "one")
    lane = await lane_of(inbox)
    other = await asyncpg.connect(database_url)
    async with other.transaction():
        await other.execute("UPDATE inbox SET state = 'done', outcome = 'withdrawn'")
        starting = asyncio.create_task(
            start(turns, turn_for(turns), lane, Start(takes=ids(lane.messages)))
        )

        async def waits() -> bool:
            return bool(
                await database.fetch(
                    "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                    "   AND datname = current_database()"
                )
            )

        await until(waits, "the start waits for the other node")
    await other.close()
    assert not await starting
    assert await states(database) == [("one", "done", "withdrawn")]
    assert await count(database, "turn") == await count(database, "entry") == 0


async def test_a_lane_in_which_a_turn_runs_starts_no_other(
    database: Database, inbox: Inbox, turns: Turns
) -> None:
    await begin(turns, "one")
    await say(inbox, "two")
    lane = await lane_of(inbox)
    assert not await start(turns, turn_for(turns), lane, Start(takes=ids(lane.messages)))
    assert (await states(database))[1] == ("two", "waiting", None)


# What the database itself refuses.


@pytest.fixture
async def execute(database_url: str) -> Callable[[str], Awaitable[object]]:
    """Run SQL as an operator would: by hand."""

    async def run(sql: str) -> object:
        connection = await asyncpg.connect(database_url)
        try:
            return await connection.execute(sql)
        finally:
            await connection.close()

    return run


async def test_the_database_itself_refuses_a_second_running_turn(
    turns: Turns, execute: Callable[[str], Awaitable[object]]
) -> None:
    await begin(turns, "one")
    with pytest.raises(asyncpg.UniqueViolationError, match="one_running_turn_per_lane"):
        await execute(
            "INSERT INTO turn (id, session_id, state, owner, correlation_id, origin, trigger_type,"
            " rights, model, channel, account, chat, thread)"
            " SELECT gen_random_uuid(), session_id, 'running', owner, correlation_id, origin,"
            "        trigger_type, rights, model, channel, account, chat, thread FROM turn"
        )


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE turn SET state = 'done'",  # ended, but when?
        "UPDATE turn SET state = 'failed', ended_at = now()",  # failed, but why?
        "UPDATE inbox SET state = 'waiting'",  # waits, yet a turn has it
        "UPDATE inbox SET state = 'done'",  # done, but how?
        "UPDATE session SET reset_seq = last_seq + 1",
        "UPDATE entry SET disposition = NULL WHERE kind = 'user'",
        """INSERT INTO outbox (delivery_id, session_id, seq, channel, account, chat, thread, kind,
                               text, state)
           SELECT gen_random_uuid(), id, 1, '', '', '', '', 'reply', '', 'dead' FROM session""",
    ],
)
async def test_the_database_refuses_what_makes_no_sense(
    turns: Turns, execute: Callable[[str], Awaitable[object]], sql: str
) -> None:
    await begin(turns, "one")
    with pytest.raises(asyncpg.CheckViolationError):
        await execute(sql)


# Withdraw.


async def test_a_message_is_taken_back_only_while_it_waits(
    database: Database, inbox: Inbox, turns: Turns
) -> None:
    turn = await begin(turns, "taken")
    [receipt] = await say(inbox, "waits")
    taken = await one(database, "SELECT message_id FROM inbox WHERE text = 'taken'")
    session = session_of()
    assert not await inbox.withdraw(session, taken["message_id"])
    assert not await inbox.withdraw(session_of("b"), receipt.message_id), "it is not theirs"
    assert not await inbox.withdraw(session, uuid4())
    assert await inbox.withdraw(session, receipt.message_id)
    assert await inbox.lanes_with_work() == {}
    await turns.settle(turn, DONE)
    assert [outcome for _, _, outcome in await states(database)] == ["answered", "withdrawn"]


async def test_a_key_that_was_used_stays_used(inbox: Inbox) -> None:
    """A platform may offer an event again after days: it was answered, or taken back."""
    event = envelope("hello", key="1")
    receipt = await accept(inbox, event)
    await inbox.withdraw(session_of(), receipt.message_id)
    again = await accept(inbox, event)
    assert again.duplicate
    assert again.message_id == receipt.message_id
    assert await inbox.lanes_with_work() == {}
