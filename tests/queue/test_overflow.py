"""Giving up places, and the turn that reads a summary instead: in the database alone."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

from opencraw.contract import Rights
from opencraw.queue.inbox import Inbox
from opencraw.queue.modes import Overflow, Start
from opencraw.queue.turns import Started, Summary, Turn, Turns
from opencraw.store.database import Database
from tests.faults.proxy import PostgresProxy
from tests.fixtures.core import accept, address, envelope, is_whole, session_of, voice
from tests.queue.lane import DONE, count, ids, lane_of, lines, one, say, states, turn_for


async def give_up(inbox: Inbox, *positions: int, chat: str = "a", notice: str = "full") -> int:
    """Have the messages at these positions of the lane give up their places."""
    lane = await lane_of(inbox, chat)
    leaving = tuple(ids(lane.messages)[position] for position in positions)
    moved, _ = await inbox.give_up_places(
        session_of(chat), Overflow(leaving, summarized=True), address(chat), notice
    )
    return moved


async def summary_of(inbox: Inbox, chat: str = "a") -> Summary:
    number, newest = await inbox.overflowed(session_of(chat), None, 8)
    return Summary("they said a lot", number, newest[-1])


async def begin_from(turns: Turns, inbox: Inbox, turn: Turn, summary: Summary) -> Started | None:
    return await turns.start(turn, summary.newest, Start(takes=()), summary)


async def test_who_gives_up_a_place_is_told_of_and_waits_for_the_summary(
    database: Database, inbox: Inbox
) -> None:
    await say(inbox, "one", "two", "three")
    assert await give_up(inbox, 0, 1) == 2
    assert await states(database) == [
        ("one", "overflowed", "summarized"),
        ("two", "overflowed", "summarized"),
        ("three", "waiting", None),
    ]
    assert await lines(database) == [(1, "notice", "full")]
    assert (await one(database, "SELECT seq, text FROM outbox"))["seq"] == 1
    lane = await lane_of(inbox)
    assert (lane.overflowed, len(lane.messages)) == (2, 1)
    [backlog] = (await inbox.lanes_with_work()).values()
    assert (backlog.waiting, backlog.overflowed) == (1, 2)


async def test_giving_up_a_place_survives_a_lost_answer(
    database: Database, proxy: PostgresProxy, unlucky: Database
) -> None:
    inbox = Inbox(unlucky)
    await say(inbox, "one", "two", "three")
    lane = await lane_of(inbox)
    leaving = Overflow(ids(lane.messages)[:2], summarized=True)
    proxy.cut_at_next_answer = True
    moved, told = await inbox.give_up_places(session_of(), leaving, address(), "full")
    assert proxy.cuts == 1
    assert moved == 2
    assert told is not None
    assert (told.address, told.line.seq, told.line.text) == (address(), 1, "full")
    assert await count(database, "outbox") == 1


async def test_many_lanes_and_one_lane_twice_give_up_places_in_one_flush(
    database: Database, inbox: Inbox
) -> None:
    chats = [f"chat {number}" for number in range(5)]
    for chat in chats:
        await say(inbox, "one", "two", "three", "four", chat=chat)
    jobs = [
        (chat, id_, f"{position}")
        for chat in chats
        for position, id_ in enumerate(ids((await lane_of(inbox, chat)).messages[:3]))
    ]
    moved = await asyncio.gather(
        *(
            inbox.give_up_places(
                session_of(chat), Overflow((id_,), summarized=False), address(chat), notice
            )
            for chat, id_, notice in jobs
        )
    )
    assert [count for count, _ in moved] == [1] * len(jobs)
    rows = await database.fetch(
        "SELECT array_agg(seq ORDER BY seq) AS seqs, array_agg(text ORDER BY text) AS texts"
        "  FROM outbox GROUP BY session_id"
    )
    assert [tuple(row) for row in rows] == [([1, 2, 3], ["0", "1", "2"])] * len(chats)
    rows = await database.fetch("SELECT last_seq FROM session")
    assert [row["last_seq"] for row in rows] == [3] * len(chats)


async def test_nobody_is_told_of_places_that_were_given_up_already(
    database: Database, inbox: Inbox
) -> None:
    """Another turn took the message up, or another node saw to the lane."""
    [receipt, _] = await say(inbox, "one", "two")
    lane = await lane_of(inbox)
    assert await inbox.withdraw(session_of(), receipt.message_id)
    leaving = Overflow(ids(lane.messages)[:1], summarized=False)
    assert await inbox.give_up_places(session_of(), leaving, address(), "dropped") == (0, None)
    assert await count(database, "outbox") == await count(database, "entry") == 0


async def test_a_turn_reads_a_summary_and_settles_those_it_stands_for(
    database: Database, inbox: Inbox, turns: Turns
) -> None:
    await say(inbox, "one", "two", "three")
    await give_up(inbox, 0, 1)
    lane, turn = await lane_of(inbox), turn_for(turns)
    start = Start(takes=ids(lane.messages))
    started = await turns.start(turn, lane.messages[0], start, await summary_of(inbox))
    assert started is not None
    assert started.told is not None
    assert (started.told.line.seq, started.told.line.text) == (2, "they said a lot")
    assert await lines(database) == [
        (1, "notice", "full"), (2, "user", "they said a lot"), (3, "user", "three")
    ]  # fmt: skip
    row = await one(database, "SELECT queue_dropped_messages FROM turn")
    assert row["queue_dropped_messages"] == 2
    assert (await one(database, "SELECT messages FROM session"))["messages"] == 1
    await turns.settle(turn, DONE)
    assert [outcome for _, _, outcome in await states(database)] == [
        "summarized", "summarized", "answered"
    ]  # fmt: skip
    await database.fetch("UPDATE outbox SET state = 'sent'")
    await is_whole(database)


async def test_the_beginning_with_a_summary_survives_a_lost_answer(
    database: Database, proxy: PostgresProxy, unlucky: Database
) -> None:
    inbox, turns = Inbox(unlucky), Turns(unlucky, uuid4())
    await say(inbox, "one", "two")
    await give_up(inbox, 0, 1)
    summary = await summary_of(inbox)
    proxy.cut_at_next_answer = True
    started = await begin_from(turns, inbox, turn_for(turns), summary)
    assert proxy.cuts == 1
    assert started is not None
    assert started.told is not None
    assert started.told.line.seq == 2
    assert await count(database, "turn") == 1
    assert len(await lines(database)) == 2


async def test_a_summary_is_answered_once_by_whoever_is_faster(
    database: Database, inbox: Inbox, turns: Turns
) -> None:
    await say(inbox, "one", "two")
    await give_up(inbox, 0, 1)
    summary = await summary_of(inbox)
    turn, other = turn_for(turns), Turns(database, uuid4())
    assert await begin_from(turns, inbox, turn, summary)
    await turns.settle(turn, DONE)
    assert not await begin_from(other, inbox, turn_for(other), summary), "it is answered already"
    assert await count(database, "turn") == 1


async def test_a_summary_of_what_was_taken_back_meanwhile_is_not_answered(
    database: Database, inbox: Inbox, turns: Turns
) -> None:
    receipts = await say(inbox, "one", "two")
    await give_up(inbox, 0, 1)
    summary = await summary_of(inbox)
    assert await inbox.withdraw(session_of(), receipts[0].message_id)
    assert not await begin_from(turns, inbox, turn_for(turns), summary)
    assert await begin_from(turns, inbox, turn_for(turns), await summary_of(inbox))
    assert await states(database) == [
        ("one", "done", "withdrawn"), ("two", "taken", "summarized")
    ]  # fmt: skip


async def test_only_messages_of_equal_rights_share_a_summary(
    database: Database, inbox: Inbox, turns: Turns
) -> None:
    for text, rights in (("mine", Rights.OWNER), ("theirs", Rights.GUEST), ("too", Rights.GUEST)):
        await accept(inbox, envelope(text, rights=rights))
    await give_up(inbox, 0, 1, 2)
    guests = await summary_of(inbox)
    assert (guests.count, guests.newest.beginning) == (2, "too")
    number, [mine] = await inbox.overflowed(session_of(), voice(), 8)
    assert (number, mine.beginning) == (1, "mine")
    turn = turn_for(turns)
    turn.rights = Rights.GUEST
    assert await begin_from(turns, inbox, turn, guests)
    assert await _taken_by(database, turn.id) == ["theirs", "too"]


async def _taken_by(database: Database, turn: UUID) -> list[str]:
    rows = await database.fetch("SELECT text FROM inbox WHERE turn_id = $1 ORDER BY id", turn)
    return [row["text"] for row in rows]
