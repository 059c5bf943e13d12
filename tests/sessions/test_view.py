"""What a prompt needs to know beside the lines themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from opencraw.contract import Rights
from opencraw.queue.inbox import Inbox
from opencraw.queue.modes import Start
from opencraw.queue.turns import Marks, Settlement, TranscriptLine, Turns
from opencraw.sessions.transcript import Entry, Sessions, Transcript
from opencraw.store.database import Database
from tests.fixtures.core import accept, envelope, session_of
from tests.queue.lane import begin, ids, lane_of, start, turn_for


async def read(sessions: Sessions, limit: int = 100) -> Transcript:
    return await sessions.transcript(session_of(), longest=100, limit=limit)


async def numbers(sessions: Sessions, limit: int = 100) -> list[int]:
    return [entry.seq for entry in (await read(sessions, limit)).entries]


async def test_a_line_says_who_spoke_and_when_and_an_answer_nobody(database: Database) -> None:
    turns = Turns(database, uuid4())
    inbox = Inbox(database)
    sent = envelope("hello")
    await accept(inbox, sent)
    turn = turn_for(turns)
    await start(turns, turn, lane := await lane_of(inbox), Start(takes=ids(lane.messages)))
    await turns.settle(turn, Settlement("done", (TranscriptLine("assistant", "hi"),), "hi"))
    transcript = await read(Sessions(database))
    line, answer = transcript.entries
    assert (line.speaker, line.rights) == (sent.sender.name or sent.sender.id, Rights.OWNER)
    assert (answer.speaker, answer.rights) == ("", "")
    assert all(_is_now(entry) for entry in transcript.entries)
    assert transcript.view.chat_type == sent.chat_type


def _is_now(entry: Entry) -> bool:
    return entry.at is not None and abs(entry.at - datetime.now(UTC)) < timedelta(minutes=5)


async def test_what_stands_for_several_lines_has_the_rights_of_its_turn(database: Database) -> None:
    turns = Turns(database, uuid4())
    turn = await begin(turns, "hello")
    await database.fetch("UPDATE turn SET rights = 'guest' WHERE id = $1", turn.id)
    await database.fetch("UPDATE entry SET disposition = 'summarized', message_id = $1", uuid4())
    [line] = (await read(Sessions(database))).entries
    assert (line.speaker, line.rights) == ("", "guest")


async def test_the_summary_is_read_wherever_prompts_begin(database: Database) -> None:
    """Also when they begin after it, and with one that was read before."""
    turns, warm = Turns(database, uuid4()), Sessions(database)
    turn = await begin(turns, *"abcdef")
    await turns.move(turn, Marks(begin_seq=4, checkpoint="in short"))
    assert await numbers(warm) == [5, 6, 7]
    view = (await read(warm)).view
    assert (view.begin_seq, view.checkpoint_seq, view.left_out) == (4, 7, True)

    await turns.advance(turn, [TranscriptLine("assistant", "more")] * 3)
    await turns.move(turn, Marks(begin_seq=9))
    for sessions in (warm, Sessions(database), warm):
        assert await numbers(sessions) == [7, 10]
        assert await numbers(Sessions(database), limit=1) == [7, 10]


async def test_what_was_summed_up_before_a_person_began_anew_is_gone(database: Database) -> None:
    turns = Turns(database, uuid4())
    turn = await begin(turns, *"abc")
    await turns.move(turn, Marks(begin_seq=2, checkpoint="in short"))
    await database.fetch("UPDATE session SET reset_seq = last_seq")
    transcript = await read(Sessions(database))
    assert transcript.entries == []
    assert (transcript.view.checkpoint_seq, transcript.view.left_out) == (0, False)
