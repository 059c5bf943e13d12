from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg
import pytest

from opencraw.events import TurnStarted
from opencraw.model import ModelEvent, ModelReply, Prompt, TextDelta
from opencraw.queue.inbox import Inbox
from opencraw.queue.nodes import Node
from opencraw.queue.turns import Turns
from opencraw.sessions.choice import QueueChoice
from opencraw.store.database import Database
from tests.fixtures.core import (
    Core,
    accept,
    address,
    envelope,
    is_whole,
    running,
    session_of,
    until,
    voice,
)
from tests.fixtures.script import Held, Script, last_words
from tests.queue.lane import begin


class Busy:
    """A model that takes a few rounds of the event loop and counts how many ask it at once."""

    def __init__(self) -> None:
        self.now = self.most = 0

    async def stream(self, prompt: Prompt) -> AsyncGenerator[ModelEvent]:
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range(20):
            await asyncio.sleep(0.001)
        self.now -= 1
        words = f"echo {last_words(prompt)}"
        yield TextDelta(words)
        yield ModelReply(words)

    async def close(self) -> None:
        pass


def order(core: Core) -> list[str]:
    """The chats whose turns began, in that order."""
    return [where.chat for where, event in core.shown if isinstance(event, TurnStarted)]


async def whole(core: Core) -> None:
    await core.settled()
    await is_whole(core.database)


async def test_a_flooded_lane_never_makes_the_others_wait(database_url: str) -> None:
    """Counted in turns: with one slot, every other lane comes before the flood's next turn."""
    held = Held()
    async with running(database_url, held, mode="followup", max_concurrency=1, cap=100) as core:
        await core.say("first", "flooded")
        await held.reached.wait()
        await asyncio.gather(*(core.say(f"more {number}", "flooded") for number in range(30)))
        for chat in ("b", "c", "d"):
            await core.say("hello", chat)
        held.release()
        await whole(core)
        assert order(core)[:5] == ["flooded", "b", "c", "d", "flooded"]
        assert core.channel.texts("flooded")[1:] == [f"echo more {number}" for number in range(30)]


async def test_two_flooded_lanes_take_turns(database_url: str) -> None:
    held = Held()
    async with running(database_url, held, mode="followup", max_concurrency=1) as core:
        await core.say("first", "other")
        await held.reached.wait()
        for number in range(5):
            await core.say(f"{number}", "a")
            await core.say(f"{number}", "b")
        held.release()
        await whole(core)
        assert order(core)[1:] == ["a", "b"] * 5


async def test_the_budget_is_used_and_never_exceeded(database_url: str) -> None:
    busy = Busy()
    async with running(database_url, provider=busy, max_concurrency=3) as core:
        await asyncio.gather(*(core.say("hello", f"chat {number}") for number in range(20)))
        await whole(core)
        assert busy.most == 3
        assert len(core.channel.got) == 20


async def test_one_lane_never_runs_two_turns_at_once(database_url: str) -> None:
    busy = Busy()
    async with running(database_url, provider=busy, mode="followup") as core:
        await asyncio.gather(*(core.say(f"{number}") for number in range(15)))
        await whole(core)
        assert busy.most == 1
        assert core.channel.texts() == [f"echo {number}" for number in range(15)]


async def test_a_message_that_nobody_told_of_is_found(database_url: str) -> None:
    """It was accepted by another node, or by this one just before it died."""
    async with running(database_url) as core:
        await accept(Inbox(core.database), envelope("hello"))
        assert await core.delivered(1) == ["echo hello"]
        await whole(core)


async def test_two_nodes_share_the_work_and_answer_everything_once(database_url: str) -> None:
    texts = [f"{number}" for number in range(6)]
    async with (
        running(database_url, provider=Busy(), mode="followup") as one,
        running(database_url, provider=Busy(), mode="followup") as two,
    ):
        for text in texts:
            for number in range(4):
                node = one if number % 2 else two
                await node.say(text, f"chat {number}")
        await one.settled()
        await two.settled()
        await is_whole(one.database)
        for number in range(4):
            chat = f"chat {number}"
            replies = [*one.channel.texts(chat), *two.channel.texts(chat)]
            assert sorted(replies) == [f"echo {text}" for text in texts]
            assert [text for text, _ in await one.outcomes(chat)] == texts


async def test_abandoned_turns_come_before_new_ones_however_busy_it_is(database_url: str) -> None:
    """They block their lanes; a flood must not keep them from their end."""
    first = Held()
    async with running(database_url, first, mode="followup", max_concurrency=1) as core:
        await core.say("first", "flooded")
        await first.reached.wait()
        for number in range(5):
            await core.say(f"more {number}", "flooded")
        dead = Node(core.database, uuid4())
        await dead.join()
        await begin(Turns(core.database, dead.id), "hello", chat="orphan")
        await dead.leave()
        await until(lambda: core.dispatcher._orphans.known, "the poll sees the orphan")
        first.release()
        await whole(core)
        assert order(core)[:2] == ["flooded", "orphan"]
        assert core.channel.texts("orphan") == ["echo hello"]


# Trouble with the database.


async def test_connections_that_break_again_and_again_lose_nothing(
    database_url: str, administrator: asyncpg.Connection
) -> None:
    """Fifty messages flow through ten lanes; every connection is cut several times meanwhile."""

    cuts = said = 0
    chats = [f"chat {number}" for number in range(10)]
    async with running(database_url, provider=Busy(), mode="followup") as core:

        async def say(text: str, chat: str) -> None:
            nonlocal said
            await core.say(text, chat)
            said += 1

        async def cut() -> None:
            nonlocal cuts
            seen = -1
            while True:
                # A slow machine must come to something in between, or it would never end.
                if said + len(core.channel.got) > seen:
                    seen = said + len(core.channel.got)
                    rows = await administrator.fetch(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE application_name = 'opencraw' AND datname = 'swept'"
                    )
                    cuts += len(rows)
                await asyncio.sleep(0.02)

        cutting = asyncio.create_task(cut())
        for number in range(5):
            await asyncio.gather(*(say(f"{number}", chat) for chat in chats))
        await until(lambda: cuts > 20 and len(core.channel.got) == 50, "50 answers")
        cutting.cancel()
        await whole(core)
        for chat in chats:
            assert core.channel.texts(chat) == [f"echo {number}" for number in range(5)]


async def test_a_read_that_the_server_gives_up_does_not_end_the_dispatcher(
    database_url: str, administrator: asyncpg.Connection
) -> None:
    """A table is locked for so long that statements are cancelled."""
    locker = await asyncpg.connect(database_url)
    async with running(database_url) as core:
        async with locker.transaction():
            await locker.execute("LOCK TABLE inbox, turn, outbox IN ACCESS EXCLUSIVE MODE")

            seen: set[bool] = set()

            async def cancelled() -> bool:
                rows = await administrator.fetch(
                    "SELECT query LIKE '%outbox%' AS outbox, pg_cancel_backend(pid)"
                    "  FROM pg_stat_activity WHERE datname = 'swept' AND wait_event_type = 'Lock'"
                )
                seen.update(row["outbox"] for row in rows)
                return seen == {True, False}

            await until(cancelled, "the polls wait for the lock")
        await locker.close()
        assert (await core.asked("Hello")).text == "echo Hello"
        await whole(core)


async def test_a_turn_whose_settlement_fails_is_taken_up_again(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It must not stay 'running' in the name of a process that does not work on it."""
    locker = await asyncpg.connect(database_url)
    await locker.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'a defect of ours'; END $$;"
        "CREATE TRIGGER refuse BEFORE INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    try:
        async with running(database_url) as core:
            await core.say("Hello")
            await until(lambda: "was given up" in caplog.text)
            await locker.execute("DROP FUNCTION refuse CASCADE")
            assert await core.delivered(1) == ["echo Hello"]
            [turn] = await core.fetch("SELECT attempt FROM turn")
            assert turn["attempt"] == 2
            await whole(core)
    finally:
        await locker.execute("DROP FUNCTION IF EXISTS refuse CASCADE")
        await locker.close()


@asynccontextmanager
async def starting(core: Core, url: str, text: str) -> AsyncIterator[None]:
    """While the block runs, the turn that answers `text` is claimed and not yet begun."""
    locker = await asyncpg.connect(url)
    async with locker.transaction():
        await locker.execute("LOCK TABLE turn IN SHARE MODE")
        await core.say(text)

        async def blocked() -> bool:
            return bool(
                await core.fetch(
                    "SELECT FROM pg_stat_activity WHERE datname = current_database()"
                    "   AND wait_event_type = 'Lock' AND query LIKE '%supersedes%'"
                )
            )

        await until(blocked, "the turn is about to begin")
        yield
    await locker.close()


async def test_a_message_that_meets_a_turn_at_its_birth_interrupts_it(database_url: str) -> None:
    async def one_takes_for_ever(prompt: Prompt) -> AsyncGenerator[ModelEvent]:
        if last_words(prompt) == "one":
            await asyncio.Event().wait()
        yield ModelReply("echo two")

    async with (
        running(database_url, one_takes_for_ever, one_takes_for_ever, mode="interrupt") as core,
        await Database.open(database_url) as elsewhere,
    ):
        async with starting(core, database_url, "one"):
            await accept(Inbox(elsewhere), envelope("two"))
            core.dispatcher.arrived(session_of(), voice(), "channel")
        assert (await core.delivered(1))[-1] == "echo two"
        await whole(core)
        assert await core.outcomes() == [("one", "interrupted"), ("two", "answered")]


async def test_a_turn_that_is_stopped_from_another_node_at_its_birth_ends(
    database_url: str,
) -> None:
    held = Held()
    async with running(database_url, held) as core, running(database_url, start=False) as other:
        async with starting(core, database_url, "one"):
            stopping = asyncio.create_task(other.say("/stop"))

            async def both_wait() -> bool:
                [row] = await core.fetch(
                    "SELECT count(*) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
                )
                return int(row["count"]) == 2

            await until(both_wait)
        await stopping
        await core.settled()
        outcome = dict(await core.outcomes())["one"]
        assert outcome in ("interrupted", "withdrawn")


async def test_what_is_said_after_a_stop_is_answered_although_it_is_claimed_with_it(
    database_url: str,
) -> None:
    """The stop was for what had waited before; the database knows which turn it was for."""
    async with running(database_url) as core:
        async with starting(core, database_url, "one"):
            core.dispatcher.stop(session_of())
            core.dispatcher.repeated(session_of(), voice(), "channel")
        assert await core.delivered(1) == ["echo one"]
        await whole(core)


async def test_the_number_of_waiting_messages_is_told(database_url: str) -> None:
    held = Held()
    async with running(database_url, held, mode="followup") as core:
        await core.say("one")
        await held.reached.wait()
        assert core.dispatcher.turns_running == 1
        await core.say("two")
        receipt = await core.say("three")
        assert core.dispatcher.waiting(session_of()) == 2
        assert core.dispatcher.messages_waiting == 2
        assert [each.text for each in await core.reader.waiting(address())] == ["two", "three"]
        assert await core.reader.withdraw(address(), receipt.message_id)
        assert core.dispatcher.waiting(session_of()) == 1
        held.release()
        await whole(core)
        assert core.dispatcher.messages_waiting == 0
        assert core.dispatcher.turns_running == 0


async def test_a_lane_that_was_only_looked_at_does_not_keep_a_daemon_from_stopping(
    database_url: str,
) -> None:
    async with running(database_url, debounce_ms=60_000) as core:
        await core.say("one")
        await core.say("two")
        core.dispatcher.choice_changed(session_of(), "test", QueueChoice(debounce_ms=60_000))
        async with asyncio.timeout(5):
            while core.dispatcher.turns_running == 0:
                await asyncio.sleep(0)  # a look takes a few rounds of the loop: none is missed
            core.dispatcher.close()
            await core.dispatcher.drained()


async def test_a_closing_dispatcher_starts_nothing_and_drains(database_url: str) -> None:
    held = Held()
    async with running(database_url, held, mode="followup") as core:
        await core.say("one")
        await held.reached.wait()
        await core.say("two")
        core.dispatcher.close()
        draining = asyncio.create_task(core.dispatcher.drained())
        await core.say("three", "b")
        held.release()
        await draining
        await core.outbox.drained()
        assert core.channel.texts() == ["released"]
        assert isinstance(core.script, Script)
        assert len(core.script.prompts) == 1
        assert set(await core.inbox.lanes_with_work()) == {session_of("a"), session_of("b")}
