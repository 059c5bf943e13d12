from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from opencraw.model import AssistantMessage, Thinking, ToolCall, Usage
from opencraw.queue.failures import Failure, Fault
from opencraw.queue.inbox import Inbox
from opencraw.queue.modes import Start
from opencraw.queue.turns import Settlement, TranscriptLine, Turn, Turns
from opencraw.sessions.transcript import Sessions
from opencraw.store.database import Database
from tests.faults.proxy import PostgresProxy
from tests.fixtures.core import is_whole, session_of
from tests.queue.lane import (
    DONE,
    RESULT,
    STEP,
    begin,
    count,
    ids,
    lane_of,
    lines,
    one,
    same_turn,
    say,
    start,
    states,
    turn_for,
    write,
)

# Advance and settle.


async def test_a_turn_writes_step_by_step_and_lands_whole(database: Database, turns: Turns) -> None:
    turn = await begin(turns, "one")
    await turns.advance(turn, [STEP], usage=Usage(3, 2, 1))
    await turns.advance(turn, [RESULT])
    delivery = await turns.settle(turn, DONE)
    assert delivery is not None
    assert delivery.line.seq == 4
    assert await lines(database) == [
        (1, "user", "one"),
        (2, "assistant", "thinking aloud"),
        (3, "tool_result", "42"),
        (4, "assistant", "the end"),
    ]
    assert await states(database) == [("one", "done", "answered")]
    row = await one(database, "SELECT * FROM outbox")
    assert (row["delivery_id"], row["seq"], row["text"]) == (delivery.delivery_id, 4, "the end")
    session = await one(database, "SELECT * FROM session")
    assert (session["prompt_tokens"], session["completion_tokens"]) == (12, 10)
    assert (session["cached_tokens"], session["last_seq"]) == (8, 4)


async def test_what_a_model_said_comes_back_verbatim(database: Database, turns: Turns) -> None:
    turn = await begin(turns, "one")
    said = AssistantMessage(
        'quotes " and \\ and ü and 😀',
        (ToolCall("c1", "calculate", '{"expression": "6*7"}'), ToolCall("c2", "other", "")),
        (Thinking("vendor", "hm", "signature=="), Thinking("vendor", "", "cipher", redacted=True)),
    )
    await turns.advance(turn, [TranscriptLine.of(said)])
    row = await one(database, "SELECT * FROM entry WHERE kind = 'assistant'")
    assert row["text"] == said.text
    read = await Sessions(database).transcript(session_of(), longest=1000, limit=10)
    [_, entry] = read.entries
    assert (entry.text, entry.tool_calls, entry.thinking) == (
        said.text, said.tool_calls, said.thinking
    )  # fmt: skip


@pytest.mark.parametrize("text", ["nul \x00", "half \ud83d", "escape \\u0000", "\\\x00"])
async def test_odd_words_of_a_model_do_not_stop_its_turn(
    database: Database, turns: Turns, text: str
) -> None:
    turn = await begin(turns, "one")
    call = ToolCall("c1", "calculate", '{"expression": "\\u0000"}')
    await turns.advance(turn, [TranscriptLine("assistant", text, (call,))])
    await turns.settle(turn, Settlement("done", (TranscriptLine("assistant", text),), text))
    shown = text.replace("\x00", "\ufffd").replace("\ud83d", "\ufffd")
    row = await one(database, "SELECT text FROM outbox")
    assert row["text"] == shown


@pytest.mark.parametrize("verb", ["advance", "move", "settle"])
async def test_a_write_that_is_repeated_is_written_once(
    database: Database, inbox: Inbox, turns: Turns, verb: str
) -> None:
    turn = await begin(turns, "one")
    await say(inbox, "two")
    again = same_turn(turn)
    first = await write(turns, turn, verb)
    assert await write(turns, again, verb) == first
    assert len(await lines(database)) == (3 if verb == "advance" else 2)
    assert await count(database, "outbox") == (verb == "settle")
    row = await one(database, "SELECT prompt_tokens FROM turn")
    assert row["prompt_tokens"] == 9


async def test_every_verb_survives_a_lost_answer(
    database: Database, proxy: PostgresProxy, unlucky: Database
) -> None:
    """The commit arrived, its answer did not: the verb is repeated and has its effect once."""
    await _story(Turns(unlucky, uuid4()), proxy)
    assert proxy.cuts == 6
    await _is_the_story(database)


async def _story(turns: Turns, proxy: PostgresProxy) -> None:
    """Every verb once, each loses its answer."""
    inbox = Inbox(turns._database)
    await say(inbox, "one", "two", "three")
    lane = await lane_of(inbox)
    first, second, third = lane.messages
    turn = turn_for(turns)
    proxy.cut_at_next_answer = True
    assert await start(turns, turn, lane, Start(takes=(first.id,)))
    proxy.cut_at_next_answer = True
    assert await turns.advance(turn, [STEP], usage=Usage(1, 1, 1), hears=(second.id,)) == [
        second.id
    ]
    proxy.cut_at_next_answer = True
    assert await inbox.withdraw(session_of(), third.message_id)
    other = Turns(turns._database, uuid4())
    proxy.cut_at_next_answer = True
    assert await other.take_over(turn)
    proxy.cut_at_next_answer = True
    delivery = await other.settle(turn, DONE)
    assert delivery is not None
    assert delivery.line.seq == 4
    proxy.cut_at_next_answer = True
    [receipt] = await say(inbox, "four")
    assert not receipt.duplicate


async def _is_the_story(database: Database) -> None:
    assert await states(database) == [
        ("one", "done", "answered"),
        ("two", "done", "injected"),
        ("three", "done", "withdrawn"),
        ("four", "waiting", None),
    ]
    assert [text for _, _, text in await lines(database)] == [
        "one", "thinking aloud", "two", "the end"
    ]  # fmt: skip
    turn = await one(database, "SELECT attempt, writes, prompt_tokens FROM turn")
    assert tuple(turn) == (2, 2, 10)
    assert await count(database, "outbox") == 1


async def test_a_caller_that_is_cancelled_leaves_no_hole_in_the_numbers(
    database: Database, turns: Turns
) -> None:
    turn = await begin(turns, "one")
    step = asyncio.create_task(_advance(turns, turn))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    step.cancel()
    with pytest.raises(asyncio.CancelledError):
        await step
    assert await turns.settle(turn, DONE)
    assert [kind for _, kind, _ in await lines(database)] == ["user", "assistant", "assistant"]


async def test_a_write_has_begun_before_its_caller_can_be_cancelled(
    database: Database, turns: Turns
) -> None:
    turn = await begin(turns, "one")
    await turns.advance(turn, [STEP])
    result = asyncio.create_task(_advance(turns, turn, RESULT))
    await asyncio.sleep(0)
    result.cancel()
    with pytest.raises(asyncio.CancelledError):
        await result
    assert await turns.settle(turn, DONE)
    assert [kind for _, kind, _ in await lines(database)] == [
        "user", "assistant", "tool_result", "assistant",
    ]  # fmt: skip


async def _advance(turns: Turns, turn: Turn, line: TranscriptLine = STEP) -> None:
    await turns.advance(turn, [line])


async def test_many_turns_at_once_leave_no_gap_in_any_transcript(
    database: Database, inbox: Inbox, turns: Turns
) -> None:
    async def converse(chat: str) -> None:
        for number in range(3):
            turn = await begin(turns, f"question {number}", chat=chat)
            await say(inbox, "by the way", chat=chat)
            lane = await lane_of(inbox, chat)
            await turns.advance(turn, [STEP], hears=ids(lane.messages))
            await asyncio.gather(
                turns.advance(turn, [RESULT]), say(inbox, "later", chat=f"{chat}, aside")
            )
            await turns.settle(turn, DONE)

    await asyncio.gather(*(converse(f"chat {number}") for number in range(10)))
    rows = await database.fetch(
        "SELECT session_id, array_agg(seq ORDER BY seq) AS seqs FROM entry GROUP BY session_id"
    )
    assert [row["seqs"] for row in rows] == [list(range(1, 16))] * 10


# Hear.


async def test_a_turn_hears_what_still_waits_and_nothing_else(
    database: Database, inbox: Inbox, turns: Turns
) -> None:
    turn = await begin(turns, "one")
    receipts = await say(inbox, "two", "three", "four")
    await say(inbox, "of somebody else", chat="b")
    two, three, four = (await lane_of(inbox)).messages
    [foreign] = (await lane_of(inbox, "b")).messages
    await inbox.withdraw(session_of(), receipts[0].message_id)
    heard = await turns.advance(turn, [RESULT], hears=(two.id, three.id, four.id, foreign.id))
    assert heard == [three.id, four.id]
    assert await lines(database) == [
        (1, "user", "one"),
        (2, "tool_result", "42"),
        (3, "user", "three"),
        (4, "user", "four"),
    ]
    await turns.settle(turn, DONE)
    assert [outcome for _, _, outcome in await states(database)] == [
        "answered", "withdrawn", "injected", "injected", None
    ]  # fmt: skip


# Settle.


@pytest.mark.parametrize(
    ("settlement", "outcome"),
    [
        (DONE, "answered"),
        (Settlement("interrupted", (), "partial"), "interrupted"),
        (Settlement("failed", (), "sorry", "notice", failure=Failure(Fault.INTERNAL)), "failed"),
    ],
)
async def test_the_outcome_of_a_turn_is_the_outcome_of_its_messages(
    database: Database, turns: Turns, settlement: Settlement, outcome: str
) -> None:
    turn = await begin(turns, "one")
    delivery = await turns.settle(turn, settlement)
    assert delivery is not None
    assert delivery.line.kind == settlement.reply_kind
    assert delivery.line.interrupted is (settlement.state == "interrupted")
    assert await states(database) == [("one", "done", outcome)]


async def test_a_turn_that_says_nothing_delivers_nothing(database: Database, turns: Turns) -> None:
    turn = await begin(turns, "one")
    assert await turns.settle(turn, Settlement("interrupted")) is None
    assert await count(database, "outbox") == 0
    await is_whole(database)
