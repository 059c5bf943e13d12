from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

import asyncpg
import pytest

from opencraw.errors import Fenced
from opencraw.model import AssistantMessage, Thinking, ToolCall, Usage
from opencraw.queue.modes import Start
from opencraw.queue.nodes import Node
from opencraw.queue.turns import Settlement, TranscriptLine, Turn, Turns
from opencraw.sessions.transcript import Sessions
from opencraw.store.database import Database
from tests.fixtures.core import envelope, is_whole, session_of, until
from tests.queue.lane import (
    begin,
    count,
    ids,
    lane_of,
    lines,
    one,
    same_turn,
    say,
    states,
    turn_for,
)
from tests.store.proxy import Proxy

STEP = TranscriptLine("assistant", "thinking aloud", (ToolCall("c1", "calculate", "{}"),))
RESULT = TranscriptLine("tool_result", "42", call_id="c1", tool_name="calculate")
DONE = Settlement(
    "done", (TranscriptLine("assistant", "the end"),), "the end", usage=Usage(9, 8, 7)
)


@pytest.fixture
def turns(database: Database) -> Turns:
    return Turns(database, uuid4())


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


# Start.


async def test_a_turn_takes_its_messages_and_writes_them_down(
    database: Database, turns: Turns
) -> None:
    await say(turns, "one", "two", "three")
    lane = await lane_of(turns)
    first, second, third = ids(lane.messages)
    start = Start(takes=(second, third), supersedes=(first,), collected=2, debounced=3)
    assert await turns.start(turn_for(turns), lane, start)
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
    database: Database, database_url: str, turns: Turns
) -> None:
    async with await Database.open(database_url) as other_database:
        other = Turns(other_database, uuid4())
        for number in range(20):
            chat = f"chat {number}"
            await say(turns, "one", "two", chat=chat)
            lane = await lane_of(turns, chat)
            all_, newest = ids(lane.messages), ids(lane.messages)[-1:]
            begun = await asyncio.gather(
                turns.start(turn_for(turns, chat), lane, Start(takes=all_)),
                other.start(turn_for(other, chat), lane, Start(takes=newest)),
            )
            assert sorted(begun) == [False, True]
    assert await count(database, "turn") == 20


async def test_a_turn_starts_with_all_of_its_messages_or_not_at_all(
    database: Database, turns: Turns
) -> None:
    receipts = await say(turns, "one", "two")
    lane = await lane_of(turns)
    assert await turns.withdraw(session_of(), receipts[0].message_id)
    assert not await turns.start(turn_for(turns), lane, Start(takes=ids(lane.messages)))
    assert await states(database) == [("one", "done", "withdrawn"), ("two", "waiting", None)]
    assert await count(database, "turn") == await count(database, "entry") == 0


async def test_a_message_that_is_taken_back_at_this_very_moment_is_not_answered(
    database: Database, database_url: str, turns: Turns
) -> None:
    """Another node is about to commit that; whoever starts a turn has to wait and look again."""
    await say(turns, "one")
    lane = await lane_of(turns)
    other = await asyncpg.connect(database_url)
    async with other.transaction():
        await other.execute("UPDATE inbox SET state = 'done', outcome = 'withdrawn'")
        starting = asyncio.create_task(
            turns.start(turn_for(turns), lane, Start(takes=ids(lane.messages)))
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
    database: Database, turns: Turns
) -> None:
    await begin(turns, "one")
    await say(turns, "two")
    lane = await lane_of(turns)
    assert not await turns.start(turn_for(turns), lane, Start(takes=ids(lane.messages)))
    assert (await states(database))[1] == ("two", "waiting", None)


async def test_the_database_itself_refuses_a_second_running_turn(
    turns: Turns, execute: Callable[[str], Awaitable[object]]
) -> None:
    await begin(turns, "one")
    with pytest.raises(asyncpg.UniqueViolationError, match="one_running_turn_per_lane"):
        await execute(
            "INSERT INTO turn (id, session_id, state, owner, correlation_id, origin, trigger_type,"
            " rights, model) SELECT gen_random_uuid(), session_id, 'running', owner,"
            " correlation_id, origin, trigger_type, rights, model FROM turn"
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
    [_, entry] = await Sessions(database).transcript(session_of(), longest=1000, limit=10)
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


@pytest.mark.parametrize(
    "stranger", [{"owner": uuid4()}, {"attempt": 2}, {"attempt": 0}, {"writes": 5}, {"id": uuid4()}]
)
@pytest.mark.parametrize("verb", ["advance", "settle"])
async def test_only_the_owner_of_an_attempt_writes_and_only_in_order(
    database: Database, turns: Turns, stranger: dict[str, object], verb: str
) -> None:
    turn = await begin(turns, "one")
    await turns.advance(turn, [STEP])
    with pytest.raises(Fenced):
        await _write(turns, same_turn(turn, **stranger), verb)
    assert len(await lines(database)) == 2
    assert await count(database, "outbox") == 0
    assert (await states(database))[0][1] == "taken"
    assert await turns.settle(turn, DONE)


@pytest.mark.parametrize("verb", ["advance", "settle"])
async def test_a_turn_that_ended_takes_no_more_writes(
    database: Database, turns: Turns, verb: str
) -> None:
    turn = await begin(turns, "one")
    await turns.settle(turn, DONE)
    with pytest.raises(Fenced):
        await _write(turns, turn, verb)
    assert len(await lines(database)) == 2


@pytest.mark.parametrize("verb", ["advance", "settle"])
async def test_a_write_that_is_repeated_is_written_once(
    database: Database, turns: Turns, verb: str
) -> None:
    turn = await begin(turns, "one")
    await say(turns, "two")
    again = same_turn(turn)
    first = await _write(turns, turn, verb)
    assert await _write(turns, again, verb) == first
    assert len(await lines(database)) == (3 if verb == "advance" else 2)
    assert await count(database, "outbox") == (verb == "settle")
    row = await one(database, "SELECT prompt_tokens FROM turn")
    assert row["prompt_tokens"] == 9


async def _write(turns: Turns, turn: Turn, verb: str) -> object:
    if verb == "settle":
        return await turns.settle(turn, DONE)
    waiting = await turns.waiting([turn.session_id])
    hears = ids(waiting[0].messages) if waiting else (2,)
    return await turns.advance(turn, [STEP], usage=Usage(9, 8, 7), hears=hears)


async def test_every_verb_survives_a_lost_answer(
    database: Database, proxy: Proxy, unlucky: Database
) -> None:
    """The commit arrived, its answer did not: the verb is repeated and has its effect once."""
    await _story(Turns(unlucky, uuid4()), proxy)
    assert proxy.cuts == 6
    await _is_the_story(database)


async def _story(turns: Turns, proxy: Proxy) -> None:
    """Every verb once, each loses its answer."""
    await say(turns, "one", "two", "three")
    lane = await lane_of(turns)
    first, second, third = lane.messages
    turn = turn_for(turns)
    proxy.cut_at_next_answer = True
    assert await turns.start(turn, lane, Start(takes=(first.id,)))
    proxy.cut_at_next_answer = True
    assert await turns.advance(turn, [STEP], usage=Usage(1, 1, 1), hears=(second.id,)) == [
        second.id
    ]
    proxy.cut_at_next_answer = True
    assert await turns.withdraw(session_of(), third.message_id)
    other = Turns(turns._database, uuid4())
    proxy.cut_at_next_answer = True
    assert await other.take_over(turn)
    proxy.cut_at_next_answer = True
    delivery = await other.settle(turn, DONE)
    assert delivery is not None
    assert delivery.line.seq == 4
    proxy.cut_at_next_answer = True
    [receipt] = await say(turns, "four")
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
    database: Database, turns: Turns
) -> None:
    async def converse(chat: str) -> None:
        for number in range(3):
            turn = await begin(turns, f"question {number}", chat=chat)
            await say(turns, "by the way", chat=chat)
            lane = await lane_of(turns, chat)
            await turns.advance(turn, [STEP], hears=ids(lane.messages))
            await asyncio.gather(
                turns.advance(turn, [RESULT]), say(turns, "later", chat=f"{chat}, aside")
            )
            await turns.settle(turn, DONE)

    await asyncio.gather(*(converse(f"chat {number}") for number in range(10)))
    rows = await database.fetch(
        "SELECT session_id, array_agg(seq ORDER BY seq) AS seqs FROM entry GROUP BY session_id"
    )
    assert [row["seqs"] for row in rows] == [list(range(1, 16))] * 10


# Hear.


async def test_a_turn_hears_what_still_waits_and_nothing_else(
    database: Database, turns: Turns
) -> None:
    turn = await begin(turns, "one")
    receipts = await say(turns, "two", "three", "four")
    await say(turns, "of somebody else", chat="b")
    two, three, four = (await lane_of(turns)).messages
    [foreign] = (await lane_of(turns, "b")).messages
    await turns.withdraw(session_of(), receipts[0].message_id)
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
        (Settlement("failed", (), "sorry", "notice", failure="model"), "failed"),
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


# Take over.


async def test_a_taken_over_turn_fences_its_former_owner(database: Database, turns: Turns) -> None:
    turn = await begin(turns, "one")
    await turns.advance(turn, [STEP])
    other = Turns(turns._database, uuid4())
    theirs = same_turn(turn)
    assert await other.take_over(theirs)
    assert (theirs.owner, theirs.attempt) == (other.node, 2)
    with pytest.raises(Fenced):
        await turns.advance(turn, [RESULT])
    with pytest.raises(Fenced):
        await turns.settle(turn, DONE)
    await other.settle(theirs, DONE)
    assert len(await lines(database)) == 3


async def test_of_two_that_take_a_turn_over_one_wins(database_url: str, turns: Turns) -> None:
    async with await Database.open(database_url) as other_database:
        heirs = turns, Turns(other_database, uuid4())
        for number in range(10):
            turn = await begin(Turns(other_database, uuid4()), "one", chat=f"chat {number}")
            won = await asyncio.gather(*(heir.take_over(same_turn(turn)) for heir in heirs))
            assert sorted(won) == [False, True]


async def test_a_turn_that_ended_is_not_taken_over(turns: Turns) -> None:
    turn = await begin(turns, "one")
    await turns.settle(turn, DONE)
    assert not await Turns(turns._database, uuid4()).take_over(turn)


async def test_who_is_abandoned(database: Database) -> None:
    """A turn of a dead node, or one of ours that is not in our hands; never any other."""
    ours, theirs, dead = (Node(database, uuid4()) for _ in range(3))
    for node in (ours, theirs, dead):
        await node.join()
    begun = {
        name: await begin(Turns(database, node), "hello", chat=name)
        for name, node in {
            "in our hands": ours.id,
            "dropped": ours.id,
            "in their hands": theirs.id,
            "of the dead": dead.id,
            "of nobody": uuid4(),
        }.items()
    }
    await dead.leave()
    found = await Turns(database, ours.id).abandoned([begun["in our hands"].id], 10)
    assert {turn.id for turn in found} == {
        begun[name].id for name in ("dropped", "of the dead", "of nobody")
    }
    [first] = await Turns(database, ours.id).abandoned([], 1)
    assert first.id == begun["in our hands"].id, "the oldest first"


async def test_who_enters_buries_the_dead_of_its_own_home_only(database: Database) -> None:
    home = uuid4()
    before, elsewhere, after = Node(database, home), Node(database, uuid4()), Node(database, home)
    await before.join()
    await elsewhere.join()
    mine = await begin(Turns(database, before.id), "hello", chat="mine")
    await begin(Turns(database, elsewhere.id), "hello", chat="theirs")
    turns = Turns(database, after.id)
    assert await turns.abandoned([], 10) == []
    await after.join()
    assert [turn.id for turn in await turns.abandoned([], 10)] == [mine.id]


# Withdraw.


async def test_a_message_is_taken_back_only_while_it_waits(
    database: Database, turns: Turns
) -> None:
    turn = await begin(turns, "taken")
    [receipt] = await say(turns, "waits")
    taken = await one(database, "SELECT message_id FROM inbox WHERE text = 'taken'")
    session = session_of()
    assert not await turns.withdraw(session, taken["message_id"])
    assert not await turns.withdraw(session_of("b"), receipt.message_id), "it is not theirs"
    assert not await turns.withdraw(session, uuid4())
    assert await turns.withdraw(session, receipt.message_id)
    assert await turns.lanes_with_work() == {}
    await turns.settle(turn, DONE)
    assert [outcome for _, _, outcome in await states(database)] == ["answered", "withdrawn"]


async def test_a_key_that_was_used_stays_used(turns: Turns) -> None:
    """A platform may offer an event again after days: it was answered, or taken back."""
    event = envelope("hello", key="1")
    receipt = await turns.accept(event, patience=10.0)
    await turns.withdraw(session_of(), receipt.message_id)
    again = await turns.accept(event, patience=10.0)
    assert again.duplicate
    assert again.message_id == receipt.message_id
    assert await turns.lanes_with_work() == {}
