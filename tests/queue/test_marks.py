"""What prompts show of a conversation changes only in the hands of the turn that runs there."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from opencraw.model import Usage
from opencraw.queue.turns import Marks, TranscriptLine, Turns
from opencraw.sessions.change import Change, Compact, Reset
from opencraw.sessions.keys import Conversation
from opencraw.sessions.transcript import Sessions
from opencraw.store.database import Database
from tests.fixtures.core import envelope, session_of
from tests.queue.lane import DONE, RESULT, STEP, begin, lines, one

LINES = [STEP, RESULT]


@pytest.fixture
def sessions(database: Database) -> Sessions:
    return Sessions(database)


async def order(database: Database, change: Change) -> None:
    """Let somebody give a command."""
    said = envelope("/command")
    here = Conversation.at(said.address, said.tenant)
    await Sessions(database).answer_command(here.id, said, uuid4(), change, "done")


async def marks(database: Database) -> dict[str, Any]:
    row = await one(
        database,
        "SELECT pruned_seq, begin_seq, checkpoint_seq, compaction_wanted FROM session"
        " WHERE id = $1",
        session_of(),
    )
    return dict(row)


async def test_a_summary_and_the_marks_are_one_effect(
    database: Database, turns: Turns, sessions: Sessions
) -> None:
    turn = await begin(turns, "one")
    await turns.advance(turn, LINES)
    await turns.move(turn, Marks(2, 1, "what was said"), Usage(100, 10, 1))
    assert await marks(database) == {
        "pruned_seq": 2, "begin_seq": 1, "checkpoint_seq": 4, "compaction_wanted": None,
    }  # fmt: skip
    read = await sessions.transcript(session_of(), longest=100, limit=100)
    assert [(each.seq, each.kind, each.covers) for each in read.entries] == [
        (2, "assistant", None), (3, "tool_result", None), (4, "checkpoint", 1),
    ]  # fmt: skip
    await turns.settle(turn, DONE)
    row = await one(database, "SELECT prompt_tokens, completion_tokens, cached_tokens FROM session")
    assert tuple(row) == (109, 18, 8), "what a summary takes counts"


async def test_marks_never_move_back(database: Database, turns: Turns) -> None:
    turn = await begin(turns, "one")
    await turns.advance(turn, LINES)
    await turns.move(turn, Marks(pruned_seq=2, begin_seq=3))
    await turns.move(turn, Marks(pruned_seq=1, begin_seq=2))
    await turns.move(turn, Marks())
    found = await marks(database)
    assert (found["pruned_seq"], found["begin_seq"], found["checkpoint_seq"]) == (2, 3, 0)
    assert len(await lines(database)) == 3


async def test_of_a_conversation_that_began_anew_meanwhile_nothing_is_summed_up(
    database: Database, turns: Turns
) -> None:
    """Another node's person said /new while this one was at work on the summary."""
    turn = await begin(turns, "a secret")
    await turns.advance(turn, LINES)
    await order(database, Compact("names"))
    await order(database, Reset())
    before = await lines(database)
    await turns.move(turn, Marks(2, 1, "the secret", wanted="names"))
    assert await lines(database) == before
    assert (await marks(database))["checkpoint_seq"] == 0
    assert (await marks(database))["compaction_wanted"] is None
    await turns.settle(turn, DONE)


async def test_an_order_that_came_later_stays(database: Database, turns: Turns) -> None:
    turn = await begin(turns, "one")
    await order(database, Compact("names"))
    assert (await marks(database))["compaction_wanted"] == "names"
    await turns.move(turn, Marks(begin_seq=1, checkpoint="x", wanted=None))
    assert (await marks(database))["compaction_wanted"] == "names"
    await turns.move(turn, Marks(wanted="dates"))
    assert (await marks(database))["compaction_wanted"] == "names"
    await turns.move(turn, Marks(wanted="names"))
    assert (await marks(database))["compaction_wanted"] is None


async def test_an_order_without_a_focus_is_one(database: Database, turns: Turns) -> None:
    turn = await begin(turns, "one")
    await order(database, Compact())
    assert (await marks(database))["compaction_wanted"] == ""
    await turns.move(turn, Marks(wanted=""))
    assert (await marks(database))["compaction_wanted"] is None


async def test_what_was_recalled_is_a_line_that_names_its_items(
    turns: Turns, sessions: Sessions
) -> None:
    turn = await begin(turns, "one")
    items = (uuid4(), uuid4())
    await turns.advance(turn, [TranscriptLine("recalled", text="you know\x00", items=items)])
    read = await sessions.transcript(session_of(), longest=100, limit=100)
    recalled = read.entries[-1]
    assert (recalled.kind, recalled.text, recalled.items) == ("recalled", "you know\ufffd", items)
    assert recalled.turn_id == turn.id
