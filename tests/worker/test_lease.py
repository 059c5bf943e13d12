"""A node whose lease is over lets go of its work by itself, unless it is alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from uuid import uuid4

import pytest

from opencraw.model import ModelEvent, ModelReply, Prompt
from opencraw.queue import nodes
from opencraw.worker import dispatcher
from tests.faults.proxy import PostgresProxy
from tests.fixtures.core import Core, running, until
from tests.fixtures.script import Held, last_words
from tests.worker.bench import whole


@pytest.fixture(autouse=True)
def short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "LEASE_SECONDS", 0.6)
    monkeypatch.setattr(dispatcher, "POLL_SECONDS", 0.05)


class Shared:
    """The model of all nodes: the first question takes for ever, and each is counted."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.now = self.most = 0

    async def stream(self, prompt: Prompt) -> AsyncGenerator[ModelEvent]:
        self.asked.append(last_words(prompt))
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            if len(self.asked) == 1:
                await asyncio.Event().wait()
            yield ModelReply(f"echo {last_words(prompt)}")
        finally:
            self.now -= 1

    async def close(self) -> None:
        pass


async def somebody_else_lives(core: Core) -> None:
    """Enter a node that never does anything, and wait until `core` knows of it."""
    await core.fetch(
        "INSERT INTO node (id, home, host, pid, lease_until)"
        " VALUES ($1, $1, '', 0, now() + interval '1 hour')",
        uuid4(),
    )
    await until(lambda: core.node.others == 1)


async def test_a_node_that_is_cut_off_hands_its_turns_over_and_two_never_run_at_once(
    database_url: str, line: PostgresProxy
) -> None:
    model = Shared()
    async with running(line.url_of(database_url), provider=model) as one:
        await one.say("Hello")
        await until(lambda: model.asked)
        # Only now, or it might be the one that answers.
        async with running(database_url, provider=model) as two:
            await until(lambda: one.node.others == 1)
            line.hold()
            assert await two.delivered(1) == ["echo Hello"]
            assert model.most == 1, "it let go before the other one took over"
            assert not one.node.holds_lease
            line.release()
            await until(lambda: one.node.holds_lease)
            assert (await one.asked("again")).text == "echo again", "it works on when it is back"
            await whole(two)
            [turn, _] = await two.fetch("SELECT attempt, deaths FROM turn ORDER BY started_at")
            assert tuple(turn) == (2, 1), "to others a node that is cut off is dead"


async def test_a_node_that_is_alone_goes_on_without_its_database(
    database_url: str, line: PostgresProxy
) -> None:
    held = Held("I think ")
    async with running(line.url_of(database_url), held) as core:
        await core.say("Hello")
        await held.reached.wait()
        await until(lambda: core.node._held_until > 0)
        line.hold()
        over = core.node._held_until + nodes.LEASE_SECONDS
        await until(lambda: nodes._now() > over)
        assert core.node.holds_lease
        held.release()
        line.release()
        assert await core.delivered(1) == ["released"]
        await whole(core)
        [turn] = await core.fetch("SELECT attempt FROM turn")
        assert turn["attempt"] == 1


async def test_a_node_comes_back_to_what_nobody_took_and_nobody_died(
    database_url: str, line: PostgresProxy
) -> None:
    held = Held()
    async with running(line.url_of(database_url), held, mode="followup") as core:
        await core.say("Hello")
        await core.say("and then?")
        await held.reached.wait()
        await somebody_else_lives(core)
        line.hold()
        await until(lambda: core.dispatcher.turns_running == 0, "it lets go")
        line.release()
        assert await core.delivered(2) == ["echo Hello", "echo and then?"]
        await whole(core)
        [turn, _] = await core.fetch("SELECT attempt, deaths FROM turn ORDER BY started_at")
        assert tuple(turn) == (2, 0)


async def test_a_node_without_its_lease_begins_nothing(
    database_url: str, line: PostgresProxy
) -> None:
    async with running(line.url_of(database_url)) as core:
        await somebody_else_lives(core)
        line.hold()
        await until(lambda: not core.node.holds_lease)
        core.running.pop(0).cancel()  # what renews the lease
        line.release()
        async with running(database_url, start=False) as other:
            await other.say("Hello")
        seen = core.dispatcher._lanes
        await until(lambda: list(seen), "the poll sees the lane")
        assert core.dispatcher.turns_running == 0
        assert not await core.fetch("SELECT FROM turn")


async def test_the_turn_of_a_dead_node_goes_on_elsewhere_and_counts_its_death(
    database_url: str,
) -> None:
    held = Held()
    async with running(database_url, held) as one:
        await one.say("Hello")
        await held.reached.wait()
        one.dies = True
    async with running(database_url) as two:
        assert await two.delivered(1) == ["echo Hello"]
        await whole(two)
        [turn] = await two.fetch("SELECT attempt, deaths FROM turn")
        assert tuple(turn) == (2, 1)
