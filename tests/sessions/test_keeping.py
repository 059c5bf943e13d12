from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from opencraw.contract import ChatType, Origin, Rights
from opencraw.memory.items import Flush, Note
from opencraw.memory.memory import Memory
from opencraw.memory.scopes import Scopes
from opencraw.sessions.keeping import KEYS_ARE_KEPT, Keeping
from opencraw.store.database import Database
from opencraw.worker import housekeeping
from opencraw.worker.housekeeping import Housekeeper, Terms
from opencraw.worker.remembering import Remembering
from tests.fixtures.core import Core, address, envelope, running, session_of, until
from tests.fixtures.script import Held, calls

DAY = timedelta(days=1)
KEEP = Terms(archive_after=10 * DAY, prune_after=20 * DAY)


def keeper(core: Core, terms: Terms = KEEP, *, remembers: bool = True) -> Housekeeper:
    memory = Memory(core.database) if remembers else None
    return Housekeeper(Keeping(core.database), memory, terms)


async def remembered(database: Database) -> list[tuple[str, str]]:
    rows = await database.fetch("SELECT scope, text FROM memory ORDER BY from_seq, text")
    return [(row["scope"], row["text"]) for row in rows]


async def marks(core: Core, chat: str = "a") -> tuple[int, int, int]:
    [row] = await core.fetch(
        "SELECT last_seq, flushed_seq, removed_seq FROM session WHERE id = $1", session_of(chat)
    )
    return row["last_seq"], row["flushed_seq"], row["removed_seq"]


async def age(core: Core, days: int) -> None:
    """So many days pass."""
    await core.fetch(
        "UPDATE session SET created_at = created_at - $1::interval,"
        " last_active_at = last_active_at - $1, archived_at = archived_at - $1 RETURNING id",
        days * DAY,
    )


# What people began anew after.


async def test_what_was_said_before_new_goes_into_memory(database_url: str) -> None:
    async with running(database_url) as core:
        await core.asked("my bicycle is green")
        await core.asked("/new")
        await core.asked("what now?")
        await keeper(core).remember()
        found = await remembered(core.database)
        assert any("my bicycle is green" in text for _, text in found)
        assert {scope for scope, _ in found} == {"os.assistant.test.id%20of%20owner"}
        assert not any("what now" in text for _, text in found), "that is in view"
        assert (await marks(core))[1] == 2


async def test_it_goes_there_once_whoever_sees_to_it(database_url: str) -> None:
    async with running(database_url) as core:
        await core.asked("my bicycle is green")
        await core.asked("/new")
        before = await Keeping(core.database).left_behind()
        await keeper(core).remember()
        once = await remembered(core.database)
        # A node that looked before does the same.
        other = Memory(core.database)
        for left in before:
            await Remembering(Keeping(core.database), other, 16_000).keep(left)
        await keeper(core).remember()
        assert await remembered(core.database) == once


async def test_what_was_said_while_nothing_was_remembered_is_not_remembered_later(
    database_url: str,
) -> None:
    async with running(database_url) as core:
        await core.asked("before memory was turned on")
        await core.asked("/new")
        await keeper(core, remembers=False).remember()
        await keeper(core).remember()
        assert await remembered(core.database) == []


async def test_what_machines_sent_is_nobodys_memory(database_url: str) -> None:
    async with running(database_url) as core:
        await core.say("from a webhook", origin=Origin.WEBHOOK)
        await core.delivered(1)
        await core.asked("from a person")
        await core.asked("/new")
        await keeper(core).remember()
        texts = " ".join(text for _, text in await remembered(core.database))
        assert "from a person" in texts
        assert "webhook" not in texts


async def test_each_keeps_what_was_said_to_him(database_url: str) -> None:
    """An owner and a guest wrote in one direct chat."""
    async with running(database_url) as core:
        await core.asked("the owner's secret")
        await core.say("a guest's question", rights=Rights.GUEST)
        await core.delivered(2)
        await core.asked("/new")
        await keeper(core).remember()
        found = await remembered(core.database)
        of_guest = " ".join(text for scope, text in found if scope.endswith("guest"))
        of_owner = " ".join(text for scope, text in found if scope.endswith("owner"))
        assert "guest's question" in of_guest
        assert "secret" not in of_guest
        assert "secret" in of_owner
        assert "guest's question" not in of_owner


async def test_what_a_group_said_stays_in_the_group(database_url: str) -> None:
    async with running(database_url) as core:
        await core.say("said among us", chat_type=ChatType.GROUP)
        await core.delivered(1)
        await core.say("/new", chat_type=ChatType.GROUP)
        await keeper(core).remember()
        assert {scope for scope, _ in await remembered(core.database)} == {"os.conversation.test.a"}


async def test_a_long_conversation_goes_in_parts_and_nothing_is_left_out(
    database_url: str,
) -> None:
    async with running(database_url, calls("current_time"), "noon") as core:
        for number in range(6):
            await core.asked(f"fact number {number}")
        await core.asked("/new")
        [left] = await Keeping(core.database).left_behind()
        await Remembering(Keeping(core.database), Memory(core.database), 16_000).keep(left, lines=5)
        texts = " ".join(text for _, text in await remembered(core.database))
        assert all(f"fact number {number}" in texts for number in range(6))
        last, flushed, _ = await marks(core)
        assert flushed == last - 1


async def test_one_that_cannot_be_remembered_does_not_hold_up_the_others(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(database_url) as core:
        for chat in ("a", "b"):
            await core.asked(f"said in {chat}", chat)
            await core.asked("/new", chat)
        flush = Memory.flush

        async def fails_once(self: Memory, given: object) -> None:
            monkeypatch.setattr(Memory, "flush", flush)
            raise RuntimeError("a defect")

        monkeypatch.setattr(Memory, "flush", fails_once)
        await keeper(core).remember()
        assert len(await Keeping(core.database).left_behind()) == 1
        await keeper(core).remember()
        assert not await Keeping(core.database).left_behind()


async def test_those_that_never_can_be_remembered_do_not_keep_all_others_waiting(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opencraw.sessions.keeping._MOST_SESSIONS", 1)
    async with running(database_url) as core:
        for chat in ("a", "b"):
            await core.asked(f"said in {chat}", chat)
            await core.asked("/new", chat)
        keeps = keeper(core)
        [first] = await Keeping(core.database).left_behind()
        flush = Memory.flush

        async def fails(self: Memory, given: Flush) -> None:
            if given.session_id == first.id:
                raise RuntimeError("a defect")
            await flush(self, given)

        monkeypatch.setattr(Memory, "flush", fails)
        for _ in range(2):
            await keeps.remember()
        left = await core.fetch("SELECT id FROM session WHERE flushed_seq < reset_seq")
        assert [row["id"] for row in left] == [first.id]
        monkeypatch.setattr(Memory, "flush", flush)
        for _ in range(2):
            await keeps.remember()
        assert not await Keeping(core.database).left_behind()


# What nobody writes in any more.


async def test_what_is_silent_is_archived_and_comes_back_with_a_message(database_url: str) -> None:
    async with running(database_url) as core:
        await core.asked("hello")
        await core.asked("hello", "b")
        await core.fetch(
            "UPDATE session SET created_at = created_at - $1::interval,"
            " last_active_at = last_active_at - $1 WHERE id = $2 RETURNING id",
            11 * DAY, session_of(),
        )  # fmt: skip
        await keeper(core).sweep()
        assert [row["chat"] for row in await core.sessions.newest(10)] == ["b"]
        await core.asked("again")
        assert {row["chat"] for row in await core.sessions.newest(10)} == {"a", "b"}
        assert (await core.transcript())[0].text == "hello", "nothing is lost"


@pytest.mark.parametrize("terms", [Terms(), Terms(archive_after=12 * DAY)])
async def test_nothing_is_archived_before_its_time(database_url: str, terms: Terms) -> None:
    async with running(database_url) as core:
        await core.asked("hello")
        await age(core, 11)
        await keeper(core, terms).sweep()
        assert len(await core.sessions.newest(10)) == 1


async def test_what_runs_or_waits_is_not_archived(database_url: str) -> None:
    held = Held()
    async with running(database_url, held) as core:
        await core.say("long")
        await held.reached.wait()
        await age(core, 11)
        await keeper(core).sweep()
        assert len(await core.sessions.newest(10)) == 1
        held.release()
        await core.settled()


async def gone(core: Core) -> None:
    """Nothing is left of what was said, and memory has it."""
    for table in ("entry", "outbox", "turn", "model_call"):
        assert await core.fetch(f"SELECT FROM {table}") == [], table
    rows = await core.fetch("SELECT text, sender_name, turn_id FROM inbox")
    assert {tuple(row) for row in rows} == {("", "", None)}


async def test_what_was_archived_for_long_is_removed_and_memory_keeps_it(
    database_url: str,
) -> None:
    async with running(database_url, calls("current_time"), "noon", spend_cap=10_000) as core:
        await core.asked("what time is it?")
        await core.asked("/status")
        await core.say("never mind")
        await core.settled()
        keeps = keeper(core)
        await age(core, 11)
        await keeps.sweep()
        await age(core, 21)
        await keeps.sweep()
        assert await core.fetch("SELECT FROM entry"), "memory has not got it yet"
        await keeps.remember()
        await keeps.sweep()
        await gone(core)
        assert any("what time is it" in text for _, text in await remembered(core.database))
        assert await core.reader.history(address()) == []
        last, flushed, removed = await marks(core)
        assert last == flushed == removed
        await core.asked("hello again")
        lines = await core.reader.history(address())
        assert [line.seq for line in lines] == [last + 1, last + 2], "no number is used twice"
        assert [entry.text for entry in await core.transcript()] == [
            "hello again", "echo hello again"
        ]  # fmt: skip


async def test_whoever_writes_in_time_keeps_the_conversation(database_url: str) -> None:
    async with running(database_url) as core:
        await core.asked("hello")
        await age(core, 11)
        await keeper(core).sweep()
        await age(core, 21)
    async with running(database_url, start=False) as core:
        await core.say("wait!")
        keeps = keeper(core)
        for _ in range(2):
            await keeps.sweep()
            await keeps.remember()
        assert len(await core.fetch("SELECT FROM entry")) == 2


async def test_an_event_that_a_platform_repeats_is_not_answered_again(database_url: str) -> None:
    async with running(database_url) as core:
        receipt = await core.door.accept(envelope("once", key="an old event"))
        await core.delivered(1)
        assert await Keeping(core.database).remove(session_of(), datetime.now(UTC))
        again = await core.door.accept(envelope("once", key="an old event"))
        assert again == type(again)(receipt.message_id, duplicate=True)
        await core.settled()
        assert core.channel.texts() == ["echo once"]

        # Much later nobody repeats it any more.
        await core.fetch(
            "UPDATE inbox SET accepted_at = accepted_at - $1::interval RETURNING id", KEYS_ARE_KEPT
        )
        await keeper(core).sweep()
        assert await core.fetch("SELECT FROM inbox") == []


async def test_a_removal_that_was_cut_off_is_finished(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(database_url) as core:
        for number in range(3):
            await core.asked(f"{number}")
            await core.asked("/status")
        await core.fetch(
            "UPDATE session SET removed_seq = last_seq, reset_seq = last_seq,"
            " flushed_seq = last_seq RETURNING id"
        )
        monkeypatch.setattr("opencraw.sessions.keeping._MOST_LINES", 2)
        await keeper(core).sweep()
        await gone(core)


async def test_a_conversation_is_not_removed_under_a_running_turn(database_url: str) -> None:
    held = Held()
    async with running(database_url, held, mode="followup") as core:
        await core.say("long")
        await held.reached.wait()
        keeping = Keeping(core.database)
        assert not await keeping.remove(session_of(), datetime.now(UTC))
        held.release()
        await core.settled()
        assert await keeping.remove(session_of(), datetime.now(UTC))
        await gone(core)


async def test_rows_that_nobody_asks_for_any_more_are_dropped(database_url: str) -> None:
    async with running(database_url, spend_cap=10_000) as core:
        await core.asked("hello")
        old, new = UUID(int=1), UUID(int=2)
        for node, lease in ((old, 41 * DAY), (new, DAY)):
            await core.fetch(
                "INSERT INTO node (id, home, host, pid, lease_until)"
                " VALUES ($1, $1, '', 1, now() - $2::interval) RETURNING id",
                node, lease,
            )  # fmt: skip
        await core.fetch("UPDATE model_call SET day = day - 41 RETURNING id")
        await core.asked("hello")
        await keeper(core).sweep()
        assert len(await core.fetch("SELECT FROM model_call")) == 1
        nodes = {row["id"] for row in await core.fetch("SELECT id FROM node")}
        assert nodes == {new, core.node.id}


# What runs beside conversations.


async def test_memory_is_kept_within_bounds_and_a_round_that_fails_ends_nothing(
    database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("LOOK_SECONDS", "SWEEP_SECONDS", "FIRST_SWEEP_SECONDS"):
        monkeypatch.setattr(housekeeping, name, 0.01)
    async with running(database_url) as core:
        await core.fetch(
            "CREATE FUNCTION stay() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE 'this one stays'; END $$"
        )
        await core.fetch(
            "CREATE TRIGGER stay BEFORE DELETE ON memory FOR EACH ROW EXECUTE FUNCTION stay()"
        )
        memory = Memory(core.database, most_items=1)
        for text in ("one", "two", "three"):
            await memory.save(Scopes("default", "a", ("a",)), Note(text))
        keeping = asyncio.create_task(Housekeeper(Keeping(core.database), memory, KEEP).run())
        await until(lambda: "memory was not kept within bounds" in caplog.text)
        await core.fetch("DROP TRIGGER stay ON memory")

        async def within() -> bool:
            return len(await remembered(core.database)) == 1

        await until(within)
        assert not keeping.done()
        keeping.cancel()
        await asyncio.wait([keeping])
