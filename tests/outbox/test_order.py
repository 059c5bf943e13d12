"""Deliveries of one conversation keep their order, whichever nodes have them."""

from __future__ import annotations

from opencraw.errors import NotSent
from opencraw.store.database import Database
from tests.fixtures.core import until
from tests.outbox.test_sender import Office, opened, working


async def two_nodes(database: Database) -> tuple[Office, Office]:
    """Two nodes that send to one platform. Either finds what the other was told to send."""
    here, there = await opened(database), await opened(database)
    there.mailbox.got = here.mailbox.got
    return here, there


async def test_no_delivery_overtakes_an_older_one_that_another_node_is_sending(
    database: Database,
) -> None:
    here, there = await two_nodes(database)
    here.mailbox.gate.clear()
    first, second, third = await here.written("one", "two", "three")
    [elsewhere] = await here.written("other", chat="b")
    async with working(here):
        here.post([first])
        await _is_being_sent(here)
        async with working(there):
            there.post([second, third, elsewhere])
            await until(lambda: there.mailbox.texts("b") == ["other"], "others are not held up")
            assert there.mailbox.texts() == []
            here.mailbox.gate.set()
            await until(lambda: len(there.mailbox.texts()) == 3)
    assert there.mailbox.texts() == ["one", "two", "three"]


async def test_what_a_dead_node_was_sending_goes_out_before_what_came_later(
    database: Database,
) -> None:
    here, there = await two_nodes(database)
    here.mailbox.gate.clear()
    first, second = await here.written("one", "two")
    async with working(here):
        here.post([first])
        await _is_being_sent(here)
    async with working(there):
        there.post([second])
        await until(lambda: not there.outbox._held)
        assert there.mailbox.texts() == []
        await here.node.leave()
        await until(lambda: len(there.mailbox.texts()) == 2)
    assert there.mailbox.texts() == ["one", "two"]
    assert [each.recovered for each in there.mailbox.got] == [True, False]


async def test_what_waits_for_its_next_attempt_on_another_node_is_not_overtaken(
    database: Database,
) -> None:
    here, there = await two_nodes(database)
    here.mailbox.trouble.extend([NotSent("busy", retry_after=0.2)])
    first, second = await here.written("one", "two")
    async with working(here):
        here.post([first])
        await until(lambda: not here.mailbox.trouble)
        async with working(there):
            there.post([second])
            await until(lambda: len(there.mailbox.texts()) == 2)
    assert there.mailbox.texts() == ["one", "two"]


async def _is_being_sent(office: Office) -> None:
    async def sending() -> bool:
        return any(row["state"] == "sending" for row in await office.rows())

    await until(sending, "a delivery is being sent")
