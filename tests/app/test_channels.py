"""Of several nodes one receives for a channel whose platform speaks to one only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import cast
from uuid import uuid4

import pytest

from opencraw.app.channels import ChannelHost, Hosted
from opencraw.contract import Delivery, Gateway, PartSent
from opencraw.errors import Unavailable
from opencraw.queue.nodes import Node
from opencraw.store.database import Database
from tests.fixtures.core import until
from tests.fixtures.hosts import host_of

#: The channels here receive nothing, so nobody asks for what a gateway does.
NOBODY = cast("Gateway", None)


class Pigeons:
    """A channel that notes who receives for it."""

    idempotent = False

    def __init__(self) -> None:
        self.receiving = False
        self.times = 0
        self.attending = False
        self.fails = asyncio.Event()

    async def run(self, gateway: Gateway) -> None:
        self.receiving = True
        self.times += 1
        try:
            await self.fails.wait()
            raise ConnectionError("the loft is empty")
        finally:
            self.receiving = False

    async def attend(self, gateway: Gateway) -> None:
        self.attending = True
        try:
            await asyncio.Event().wait()
        finally:
            self.attending = False

    async def send(self, delivery: Delivery, sent: PartSent) -> None: ...


@dataclass
class Site:
    """One node and its host, with a channel of its own."""

    node: Node
    host: ChannelHost
    pigeons: Pigeons
    lease: asyncio.Task[None]
    life: asyncio.Task[None]

    @property
    def hosted(self) -> Hosted:
        return self.host.hosted["pigeons"]

    async def die(self) -> None:
        """As if killed: nothing is given back."""
        for task in (self.lease, self.life):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@asynccontextmanager
async def site(url: str, *, one_receiver: bool = True) -> AsyncIterator[Site]:
    async with await Database.open(url) as database:
        node = Node(database, uuid4())
        await node.join()
        pigeons = Pigeons()
        host = host_of(one_receiver=one_receiver, pigeons=pigeons)
        lease = asyncio.create_task(node.keep_lease(host.let_go))
        life = asyncio.create_task(host.run(NOBODY, node))
        made = Site(node, host, pigeons, lease, life)
        try:
            yield made
            for task in (lease, life):
                assert task.cancelled() or not task.done(), task
        finally:
            await made.die()


@pytest.fixture
async def two(database_url: str) -> AsyncIterator[tuple[Site, Site]]:
    """The first receives."""
    async with AsyncExitStack() as opened:
        first = await opened.enter_async_context(site(database_url))
        await until(lambda: first.pigeons.receiving)
        second = await opened.enter_async_context(site(database_url))
        await until(lambda: second.hosted.state == "standby")
        yield first, second


async def test_one_receives_and_the_other_stands_by_in_good_health(two: tuple[Site, Site]) -> None:
    first, second = two
    assert (first.hosted.state, second.hosted.state) == ("running", "standby")
    assert second.hosted.detail == "another node receives"
    assert second.hosted.problem is None
    assert not second.pigeons.receiving


async def test_a_host_has_begun_when_what_runs_on_every_node_runs(database_url: str) -> None:
    async with site(database_url, one_receiver=False) as one:
        assert not one.pigeons.receiving
        await one.host.begun()
        assert one.pigeons.receiving


async def test_a_host_whose_only_channel_stands_by_has_begun(two: tuple[Site, Site]) -> None:
    _, second = two
    await second.host.begun()


async def test_both_do_what_every_node_does(two: tuple[Site, Site]) -> None:
    first, second = two
    assert first.pigeons.attending
    assert second.pigeons.attending


async def test_whoever_stands_by_does_not_claim_to_know_what_only_the_database_does(
    two: tuple[Site, Site],
) -> None:
    _, second = two
    # Its renewals do not arrive any more.
    second.lease.cancel()
    await until(lambda: "our own database does not answer" in second.hosted.detail)
    assert second.hosted.state == "standby"


async def test_the_receiver_of_a_dead_node_moves(two: tuple[Site, Site]) -> None:
    first, second = two
    await first.die()
    assert not first.pigeons.attending
    await until(lambda: second.pigeons.receiving)
    assert second.hosted.state == "running"


async def test_a_node_that_leaves_is_followed_at_once(two: tuple[Site, Site]) -> None:
    first, second = two
    await first.die()
    await first.node.leave()
    await until(lambda: second.pigeons.receiving)


async def test_a_node_without_its_lease_stops_receiving_and_asks_again(
    two: tuple[Site, Site],
) -> None:
    first, _ = two
    first.host.let_go()
    await until(lambda: first.pigeons.times == 2, "it lost its claim and got it back")
    assert first.hosted.state == "running"


async def test_a_receiver_is_one_until_its_lease_is_over_while_nobody_can_tell(
    two: tuple[Site, Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer is overloaded, and answers no claim."""
    first, second = two
    asked = []

    async def unanswered(*_: object) -> bool:
        asked.append(1)
        raise Unavailable("10,000 writes wait already")

    monkeypatch.setattr(first.node, "receive_for", unanswered)
    await until(lambda: len(asked) >= 2)
    assert (first.pigeons.times, first.hosted.state) == (1, "running")
    first.lease.cancel()
    await until(lambda: second.pigeons.receiving)
    await until(lambda: first.hosted.state == "standby")
    before = len(asked)
    await first.node.join()
    await until(lambda: len(asked) >= before + 2, "it has a lease again, and asks")
    assert first.pigeons.times == 1, "nobody becomes the receiver because nobody can tell"


async def test_a_node_that_slept_gives_way_to_its_successor(two: tuple[Site, Site]) -> None:
    first, second = two
    # Its heart stands still, while it believes that it receives.
    first.lease.cancel()
    await until(lambda: second.pigeons.receiving)
    await until(lambda: first.hosted.state == "standby")
    assert not first.pigeons.receiving


async def test_a_receiver_that_fails_is_started_again_by_the_same_node(
    two: tuple[Site, Site],
) -> None:
    first, second = two
    first.pigeons.fails.set()
    await until(lambda: first.hosted.state == "failed")
    assert "the loft is empty" in (first.hosted.problem or "")
    first.pigeons.fails.clear()
    await until(lambda: first.pigeons.receiving)
    assert second.pigeons.times == 0


async def test_a_channel_that_speaks_to_all_runs_everywhere(database_url: str) -> None:
    async with (
        site(database_url, one_receiver=False) as first,
        site(database_url, one_receiver=False) as second,
    ):
        await until(lambda: first.pigeons.receiving and second.pigeons.receiving)
        first.host.let_go()
        assert first.hosted.state == "running"
