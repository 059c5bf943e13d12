from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from msgspec.structs import astuple

from opencraw.contract import Origin
from opencraw.queue.modes import Start
from opencraw.sessions.lives import SQL, Lives
from opencraw.sessions.reset import Kind, ResetRules
from opencraw.sessions.settings import SessionsSettings
from opencraw.sessions.transcript import SQL as SESSIONS
from opencraw.store.database import Database
from tests.fixtures.core import Core, address, envelope, running, session_of
from tests.fixtures.script import Held, calls
from tests.queue.lane import ids, lane_of, start, turn_for
from tests.worker.bench import Bench

IDLE = SessionsSettings(reset="idle", reset_idle_minutes=60)
DAILY = SessionsSettings(reset="daily", time_zone="UTC")
DIRECT = Kind("test", "direct", is_thread=False)


async def ago(core: Core, hours: float, *, moment: str = "last_said_at, begun_at") -> None:
    """Make it so long that something happened."""
    sets = ", ".join(f"{each} = {each} - $1::interval" for each in moment.split(", "))
    await core.fetch(f"UPDATE session SET {sets} RETURNING id", timedelta(hours=hours))


async def answered(core: Core, text: str) -> None:
    """Say something; a notice may come before the answer."""
    await core.say(text)
    await core.settled()


async def texts(core: Core) -> list[str]:
    return [entry.text for entry in await core.transcript()]


@pytest.mark.parametrize(
    ("settings", "moment", "hours", "over"),
    [
        (IDLE, "last_said_at, begun_at", 2, True),
        (IDLE, "last_said_at, begun_at", 0.5, False),
        (IDLE, "begun_at", 2, False),
        (DAILY, "begun_at", 25, True),
        (DAILY, "last_said_at", 25, False),
        (SessionsSettings(), "last_said_at, begun_at", 9_999, False),
    ],
)
async def test_what_is_over_ends_before_the_next_turn(
    database_url: str, settings: SessionsSettings, moment: str, hours: float, over: bool
) -> None:
    async with running(database_url, lives=settings) as core:
        await core.asked("before")
        await ago(core, hours, moment=moment)
        await answered(core, "after")
        kept = [] if over else ["before", "echo before"]
        assert await texts(core) == [*kept, "after", "echo after"]
        await core.asked("and more")
        assert (await texts(core))[-4:] == ["after", "echo after", "and more", "echo and more"]
        said = [line.text for line in await core.reader.history(address()) if line.kind == "said"]
        assert said == ["before", "after", "and more"], "people see all of it"


@pytest.mark.parametrize(
    ("settings", "cause"),
    [
        (IDLE, "nobody wrote for 1 hour"),
        (SessionsSettings(reset="idle", reset_idle_minutes=90), "nobody wrote for 90 minutes"),
        (SessionsSettings(reset="idle", reset_idle_minutes=1440), "nobody wrote for 1 day"),
        (DAILY, "a day has ended (at 04:00)"),
    ],
)
async def test_people_are_told_that_and_why_a_conversation_begins_anew(
    database_url: str, settings: SessionsSettings, cause: str
) -> None:
    async with running(database_url, lives=settings) as core:
        await core.asked("before")
        await ago(core, 25)
        await answered(core, "after")
        [_, notice, answer] = core.channel.lines("a")
        assert (notice.kind, answer.text) == ("notice", "echo after")
        assert notice.text.startswith(f"A new conversation begins here, because {cause};")
        history = [(line.kind, line.text) for line in await core.reader.history(address())]
        assert ("notice", notice.text) in history


async def test_one_that_nothing_was_said_in_does_not_begin_anew_again(database_url: str) -> None:
    async with running(database_url, lives=IDLE) as core:
        await core.asked("before")
        await core.asked("/new")
        await core.asked("/status")
        await ago(core, 2)
        assert (await core.asked("after")).text == "echo after"


async def test_a_new_life_whose_answer_was_lost_is_told_of_once(database_url: str) -> None:
    async with running(database_url) as core:
        await core.asked("before")
        [seen] = await core.fetch("SELECT id, begun_at, last_seq, now() FROM session")
        row = (*seen, uuid4(), "anew", *astuple(address()))
        first, again = [await core.database.commit(SQL.begin_anew, row) for _ in range(2)]
        assert first is not None
        assert again is not None
        assert tuple(first)[1:] == tuple(again)[1:]
        await core.settled()
        assert core.channel.texts() == ["echo before", "anew"]


async def test_a_new_life_costs_nothing_yet_and_its_order_to_sum_up_is_gone(
    database_url: str,
) -> None:
    async with running(database_url, lives=IDLE) as core:
        await core.asked("before")
        await core.fetch("UPDATE session SET compaction_wanted = 'x' RETURNING id")
        [before] = await core.fetch("SELECT prompt_tokens FROM session")
        await ago(core, 2)
        await answered(core, "after")
        [row] = await core.fetch("SELECT prompt_tokens, compaction_wanted, last_seq FROM session")
        assert 0 < row["prompt_tokens"] <= before["prompt_tokens"]
        assert row["compaction_wanted"] is None


async def test_what_timers_ask_does_not_keep_a_conversation_alive(database_url: str) -> None:
    async with running(database_url, lives=IDLE) as core:
        await core.asked("before")
        await ago(core, 2)
        await core.fetch("UPDATE session SET begun_at = now() RETURNING id")
        [before] = await core.fetch("SELECT last_said_at FROM session")
        await core.say("tick", origin=Origin.TIMER)
        await core.settled()
        [after] = await core.fetch("SELECT last_said_at FROM session")
        assert after == before
        await answered(core, "a person")
        [after] = await core.fetch("SELECT last_said_at FROM session")
        assert after["last_said_at"] > before["last_said_at"]


async def test_a_person_who_is_heard_on_the_way_keeps_it_alive(database_url: str) -> None:
    held = Held("slow")
    async with running(database_url, held, lives=IDLE) as core:
        await core.say("do it", origin=Origin.TIMER)
        await held.reached.wait()
        await ago(core, 2)
        [before] = await core.fetch("SELECT last_said_at FROM session")
        await core.say("and this")
        held.release()
        await core.settled()
        [after] = await core.fetch("SELECT last_said_at FROM session")
        assert after["last_said_at"] > before["last_said_at"]


async def test_who_wrote_in_time_is_answered_in_the_old_conversation(database_url: str) -> None:
    """The daemon was away: a message counts from when it was accepted."""
    async with running(database_url, lives=IDLE) as core:
        await core.asked("before")
    async with running(database_url, lives=IDLE, start=False) as core:
        await core.say("in time")
        await core.fetch("UPDATE inbox SET accepted_at = accepted_at - interval '2 h' RETURNING id")
        await ago(core, 2.5)
    async with running(database_url, lives=IDLE) as core:
        await core.delivered(1)
        assert await texts(core) == ["before", "echo before", "in time", "echo in time"]


async def test_a_running_turn_is_never_cut_off_from_its_conversation(database_url: str) -> None:
    held = Held("long")
    async with running(database_url, held, lives=IDLE, mode="followup") as core:
        await core.say("one")
        await held.reached.wait()
        await ago(core, 2)
        lives = Lives(core.database, ResetRules(IDLE))
        assert not await lives.ended_in_time(session_of(), address(), DIRECT, 0.0)
        await core.say("two")
        held.release()
        await core.settled()
        [row] = await core.fetch("SELECT reset_seq FROM session")
        assert row["reset_seq"] == 2, "it ended between the turns"
        assert await texts(core) == ["two", "echo two"]


async def test_of_many_nodes_that_look_one_lets_it_begin_anew(database_url: str) -> None:
    async with running(database_url) as core:
        await core.asked("before")
        await ago(core, 2)
        lives = [Lives(core.database, ResetRules(IDLE)) for _ in range(5)]
        answers = await asyncio.gather(
            *(each.ended_in_time(session_of(), address(), DIRECT, 0.0) for each in lives)
        )
        assert any(answers)
        [row] = await core.fetch("SELECT reset_seq, last_seq FROM session")
        assert (row["reset_seq"], row["last_seq"]) == (2, 3), "one ended it, and one told of it"


async def test_whoever_looked_before_something_was_said_changes_nothing(database_url: str) -> None:
    async with running(database_url) as core:
        await core.asked("one")
        [seen] = await core.fetch("SELECT id, begun_at, last_seq, now() FROM session")
        await core.asked("two")
        assert (
            await core.database.commit(
                SQL.begin_anew, (*seen, uuid4(), "anew", *astuple(address()))
            )
            is None
        )
        assert await texts(core) == ["one", "echo one", "two", "echo two"]


async def test_nothing_is_done_where_nobody_spoke(database: Database) -> None:
    assert await Lives(database, ResetRules(IDLE)).ended_in_time(
        session_of(), address(), DIRECT, 0.0
    )


# What a person says to begin anew, and asks at once.


async def test_what_stands_behind_new_is_asked_in_the_new_conversation(database_url: str) -> None:
    async with running(database_url) as core:
        await core.asked("before")
        receipt = await core.say("/new tell me a joke")
        assert (await core.delivered(3))[2] == "echo tell me a joke"
        assert await texts(core) == ["tell me a joke", "echo tell me a joke"]
        said = [line for line in await core.reader.history(address()) if line.kind == "said"]
        assert said[-1].message_id == receipt.message_id
        assert await core.outcomes() == [("before", "answered"), ("tell me a joke", "answered")]


async def test_it_is_asked_once_however_often_it_is_offered(database_url: str) -> None:
    async with running(database_url) as core:
        again = envelope("/new one", key="same")
        receipts = [await core.door.accept(again) for _ in range(3)]
        assert len({each.message_id for each in receipts}) == 1
        assert [each.duplicate for each in receipts] == [False, True, True]
        await core.settled()
        assert core.channel.texts()[1:] == ["echo one"]


async def test_it_survives_the_turn_that_it_ends(database_url: str) -> None:
    held = Held("long")
    async with running(database_url, held) as core:
        await core.say("old")
        await held.reached.wait()
        await core.say("waits")
        await core.say("/new a fresh start")
        held.release()
        await core.settled()
        assert core.channel.texts()[-1] == "echo a fresh start"
        assert await core.outcomes() == [
            ("old", "interrupted"), ("waits", "withdrawn"), ("a fresh start", "answered")
        ]  # fmt: skip


async def test_it_may_be_as_long_as_any_message(database_url: str) -> None:
    async with running(database_url) as core:
        text = "long " * 1_000
        await core.say(f"/new {text}")
        assert (await core.delivered(2))[1] == f"echo {text.strip()}"


async def test_where_the_assistant_is_silent_it_is_kept_and_not_answered(
    database_url: str,
) -> None:
    async with running(database_url) as core:
        await core.asked("/send off")
        await core.say("/new hello?")
        await core.settled()
        assert len(core.channel.texts()) == 2
        assert (await core.outcomes())[-1] == ("hello?", "muted")


async def test_what_is_said_to_a_turn_that_was_told_to_end_is_not_for_it(database_url: str) -> None:
    """Word of the stop comes from another node, and the turn has not heard of it yet."""
    bench = Bench()
    async with running(database_url, calls("work"), tools=bench.tools) as core:
        await core.say("old")
        await bench.begun.wait()
        await core.fetch("UPDATE turn SET stop_requested = true RETURNING id")
        await core.say("new")
        bench.may_end.set()
        await core.settled()
        assert (await core.outcomes())[-1] == ("new", "answered")


async def test_a_turn_about_what_stands_behind_new_is_not_stopped_by_it(database_url: str) -> None:
    """It began on another node in the very moment of the reset."""
    async with running(database_url, start=False) as core:
        receipt = await core.say("/new a fresh start")
        lane = await lane_of(core.inbox)
        turn = turn_for(core.turns)
        assert await start(core.turns, turn, lane, Start(takes=ids(lane.messages)))
        await core.database.commit(SESSIONS.stop_what_began, (session_of(), receipt.message_id))
        assert not await core.turns.to_be_stopped([turn.id])
