from __future__ import annotations

from uuid import uuid4

import pytest

from opencraw.contract import Line
from opencraw.events import DraftGrew
from opencraw.queue.turns import Settlement, TranscriptLine, Turns
from opencraw.sessions.transcript import Sessions
from opencraw.store.database import Database
from tests.fixtures.core import address, running, session_of
from tests.fixtures.script import Held, calls
from tests.queue.lane import begin


async def test_nobody_spoke_yet(database: Database) -> None:
    sessions = Sessions(database)
    assert await sessions.session(session_of()) is None
    assert (await sessions.transcript(session_of(), longest=10, limit=10)).entries == ()
    assert await sessions.lines(session_of(), address(), before=None, after=0, limit=10) == []
    assert await sessions.pending(session_of()) == []
    assert await sessions.newest(10) == []


async def test_of_a_long_text_as_much_is_read_as_a_window_could_show(database: Database) -> None:
    turns = Turns(database, uuid4())
    turn = await begin(turns, "short", "ü" * 50 + "z" * 50)
    await turns.settle(turn, Settlement("done", (TranscriptLine("assistant", "a" * 10),)))
    [*entries] = (await Sessions(database).transcript(session_of(), longest=10, limit=10)).entries
    assert [(entry.text, entry.tail, entry.size) for entry in entries] == [
        ("short", "", 5), ("ü" * 10, "z" * 10, 100), ("a" * 10, "", 10)
    ]  # fmt: skip


async def test_the_newest_entries_come_oldest_first(database: Database) -> None:
    turns = Turns(database, uuid4())
    await begin(turns, *(f"message {number}" for number in range(9)))
    sessions = Sessions(database)
    entries = (await sessions.transcript(session_of(), longest=100, limit=3)).entries
    assert [entry.text for entry in entries] == ["message 6", "message 7", "message 8"]


async def test_after_a_reset_a_model_sees_nothing_of_before_and_people_everything(
    database_url: str,
) -> None:
    async with running(database_url) as core:
        await core.asked("before")
        await core.asked("/new")
        assert await core.transcript() == []
        await core.asked("after")
        assert [entry.text for entry in await core.transcript()] == ["after", "echo after"]
        await core.asked("/nuke")
        await core.asked("/nuke")
        assert await core.transcript() == []
        said = [line.text for line in await core.reader.history(address()) if line.kind == "said"]
        assert said == ["before", "after"]


async def test_a_notice_is_for_people_and_not_for_the_model(database_url: str) -> None:
    async with running(database_url) as core:
        await core.asked("/help")
        await core.asked("hello")
        assert [entry.kind for entry in await core.transcript()] == ["user", "assistant"]
        kinds = [line.kind for line in await core.reader.history(address())]
        assert kinds == ["notice", "said", "reply"]


async def test_people_see_what_they_said_and_what_was_delivered(database_url: str) -> None:
    """Not the steps between: a reply is one line, and it is the one that was delivered."""
    async with running(database_url, calls("current_time", text="Let me look."), "Noon.") as core:
        receipt = await core.say("What time is it?")
        await core.delivered(1)
        said, reply = await core.reader.history(address())
        assert (said.kind, said.text, said.message_id) == (
            "said", "What time is it?", receipt.message_id
        )  # fmt: skip
        assert said.dedupe_key.startswith("key-")
        [delivery] = core.channel.got
        assert reply == delivery.line
        assert reply.tools == ("current_time",)
        assert reply.text == "Let me look.\n\nNoon."
        assert said.turn_id == reply.turn_id
        assert any(isinstance(event, DraftGrew) for _, event in core.shown)


async def test_lines_are_paged_without_loss_or_repetition(database_url: str) -> None:
    async with running(database_url) as core:
        for number in range(8):
            await core.asked(f"{number}")
            await core.asked("/status")
        whole = await core.reader.history(address(), limit=1_000)
        assert len(whole) == 24
        seqs = [line.seq for line in whole]
        assert seqs == sorted(set(seqs))

        back: list[Line] = []
        before = None
        while page := await core.reader.history(address(), before=before, limit=5):
            back = [*page, *back]
            before = page[0].seq
        assert back == list(whole)

        middle = whole[10].seq
        assert await core.reader.history(address(), after=middle) == whole[11:]
        between = await core.reader.history(address(), after=middle, before=whole[14].seq)
        assert between == whole[11:14]
        assert await core.reader.history(address("b")) == []


async def test_what_waits_is_told_in_order(database_url: str) -> None:
    held = Held()
    async with running(database_url, held, mode="followup") as core:
        await core.say("one")
        await held.reached.wait()
        two, three = await core.say("two"), await core.say("three")
        waiting = await core.reader.waiting(address())
        assert [(each.text, each.message_id) for each in waiting] == [
            ("two", two.message_id), ("three", three.message_id)
        ]  # fmt: skip
        held.release()
        await core.settled()
        assert await core.reader.waiting(address()) == []


async def test_the_conversations_that_were_active_last(database_url: str) -> None:
    held = Held()
    async with running(database_url, "a", "b", held, mode="followup") as core:
        await core.asked("hello", "old")
        await core.asked("hello", "new")
        await core.say("again", "old")
        await held.reached.wait()
        await core.say("and again", "old")
        newest, second = await core.sessions.newest(10)
        assert (newest["chat"], newest["messages"]) == ("old", 2)
        assert (newest["waiting"], newest["running"], second["running"]) == (1, True, False)
        assert newest["opened_by"] == "id of owner"
        assert [each["chat"] for each in await core.sessions.newest(1)] == ["old"]
        held.release()
        await core.settled()


@pytest.mark.parametrize("kind", ["interrupted", "failed"])
async def test_how_a_turn_ended_shows_in_its_entries(database: Database, kind: str) -> None:
    turns = Turns(database, uuid4())
    turn = await begin(turns, "hello")
    line = TranscriptLine(
        "assistant" if kind == "interrupted" else "tool_result",
        "half",
        call_id=None if kind == "interrupted" else "c1",
        interrupted=kind == "interrupted",
        failed=kind == "failed",
    )
    await turns.settle(turn, Settlement("interrupted", (line,)))
    [_, entry] = (await Sessions(database).transcript(session_of(), longest=10, limit=10)).entries
    assert (entry.interrupted, entry.failed) == (kind == "interrupted", kind == "failed")
