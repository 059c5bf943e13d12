"""What could not be delivered, and what an operator does about it."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from opencraw.contract import Delivery
from opencraw.errors import NeverSendable, NotFound, NotSent, Refused
from opencraw.outbox.deliveries import SQL, Deliveries, Undelivered, Which
from opencraw.outbox.sender import SQL as SENDING
from opencraw.queue.nodes import Node
from opencraw.store.database import Database
from tests.fixtures.core import until
from tests.fixtures.database import rows_read
from tests.outbox.test_parts import Words
from tests.outbox.test_sender import Office, working


@pytest.fixture
async def office(database: Database) -> Office:
    node = Node(database, uuid4())
    await node.join()
    return Office(database, Words(), node)


@pytest.fixture
def deliveries(database: Database) -> Deliveries:
    return Deliveries(database)


def words(office: Office) -> Words:
    assert isinstance(office.mailbox, Words)
    return office.mailbox


async def dead(office: Office, text: str, at: str) -> Delivery:
    words(office).troubles[at] = (False, NeverSendable("the chat is gone"))
    [delivery] = await office.written(text)
    async with working(office):
        office.post([delivery])
        await office.finished()
    return delivery


async def test_a_dead_letter_is_listed_with_its_reason(
    office: Office, deliveries: Deliveries
) -> None:
    delivery = await dead(office, "one two", at="two")
    [found] = await deliveries.listed("dead", None, 10)
    assert found["delivery_id"] == delivery.delivery_id
    assert (found["failure"], found["parts"], found["text"]) == ("the chat is gone", 1, "one two")
    assert await deliveries.undelivered() == Undelivered(dead=1)
    assert await deliveries.listed("dead", "elsewhere", 10) == []
    assert await deliveries.listed("open", None, 10) == []


async def test_what_is_tried_in_vain_for_a_while_is_late(
    office: Office, deliveries: Deliveries
) -> None:
    words(office).troubles["one"] = (False, NotSent("nobody is there", retry_after=60.0))
    [delivery, _] = await office.written("one", "two")
    async with working(office):
        office.post([delivery])
        await until(lambda: _is_tried(deliveries), "it was tried")
        assert (await deliveries.undelivered()).problem is None
        await office.database.fetch("UPDATE outbox SET created_at = now() - interval '61 seconds'")
        undelivered = await deliveries.undelivered()
    assert undelivered == Undelivered(late=1)
    assert "1 delivery cannot be sent at the moment" in str(undelivered.problem)


@pytest.mark.parametrize("which", ["dead", "dropped", "open"])
async def test_what_is_rare_is_found_without_reading_what_was_sent(
    office: Office, deliveries: Deliveries, database_url: str, which: Which
) -> None:
    await office.written(*(f"number {number}" for number in range(300)))
    await office.set(state="sent")
    rare = await office.written("rare")
    state = "pending" if which == "open" else "dead"
    dropped = datetime.now(UTC) if which == "dropped" else None
    failure = None if which == "open" else "the chat is gone"
    await office.database.fetch(
        "UPDATE outbox SET state = $1, dropped_at = $2, failure = $3 WHERE delivery_id = $4",
        *(state, dropped, failure, rare[0].delivery_id),
    )
    await office.database.fetch("ANALYZE outbox")
    [found] = await deliveries.listed(which, None, 10)
    assert found["delivery_id"] == rare[0].delivery_id
    assert await rows_read(database_url, SQL.listed, which, None, 10) < 10


async def test_a_retry_begins_behind_the_parts_that_are_there(
    office: Office, deliveries: Deliveries
) -> None:
    delivery = await dead(office, "one two three", at="two")
    async with working(office):
        assert await deliveries.retry(str(delivery.delivery_id)[:8]) == delivery.delivery_id
        await until(lambda: len(words(office).there) == 3)
        await office.rest(("sent", 2, 0))
    assert words(office).there == ["one", "two", "three"]
    assert await deliveries.undelivered() == Undelivered()


async def test_a_retry_that_may_be_a_second_copy_says_so(
    office: Office, deliveries: Deliveries
) -> None:
    [delivery] = await office.written("one two")
    await office.database.commit(SENDING.part_sent, (delivery.delivery_id, 1, "id of one"))
    await office.set(state="dead", failure="outcome unknown 2 times", attempts=2, unknown=2)
    async with working(office):
        await deliveries.retry(str(delivery.delivery_id))
        await until(lambda: words(office).there)
    assert words(office).there == ["again:two"]


async def test_what_waits_for_its_next_attempt_is_no_dead_letter(
    office: Office, deliveries: Deliveries
) -> None:
    [delivery] = await office.written("one")
    # Nobody sends it at the moment: the process that tried it first is gone.
    await office.set(state="pending", attempts=1)
    with pytest.raises(Refused, match="it is still being tried"):
        await deliveries.retry(str(delivery.delivery_id))


async def test_what_waits_says_why_its_last_attempt_failed(
    office: Office, deliveries: Deliveries
) -> None:
    words(office).troubles["one"] = (False, NotSent("nobody is at the other end", retry_after=60.0))
    [delivery] = await office.written("one")
    async with working(office):
        office.post([delivery])

        async def noted() -> bool:
            found = await deliveries.listed("open", None, 10)
            return [each["trouble"] for each in found] == ["nobody is at the other end"]

        await until(noted, "why")
    await deliveries.drop(str(delivery.delivery_id))
    [dropped] = await deliveries.listed("dropped", None, 10)
    assert dropped["failure"]


async def test_what_is_there_has_no_trouble(office: Office, deliveries: Deliveries) -> None:
    words(office).troubles["one"] = (False, NotSent("busy", retry_after=0.01))
    [delivery] = await office.written("one")
    async with working(office):
        office.post([delivery])
        await office.finished()
    [sent] = await deliveries.listed("sent", None, 10)
    assert (sent["delivery_id"], sent["trouble"]) == (delivery.delivery_id, "")


async def test_a_retry_twice_is_one(office: Office, deliveries: Deliveries) -> None:
    delivery, word = await dead(office, "one", at="one"), uuid4()
    for _ in range(2):
        record = await office.database.commit(SQL.retry, (delivery.delivery_id, word))
        assert record is not None
        assert record["waits"]
    assert await office.states() == [("pending", 1, 0)]


async def test_a_dead_letter_that_is_dropped_is_spoken_of_no_more(
    office: Office, deliveries: Deliveries
) -> None:
    delivery = await dead(office, "one", at="one")
    for _ in range(2):
        assert await deliveries.drop(str(delivery.delivery_id)) == delivery.delivery_id
    assert await deliveries.undelivered() == Undelivered()
    assert await deliveries.listed("dead", None, 10) == []
    [dropped] = await deliveries.listed("dropped", None, 10)
    assert dropped["dropped_at"] is not None
    # And comes back when somebody changes his mind.
    await deliveries.retry(str(delivery.delivery_id))
    assert await deliveries.listed("dropped", None, 10) == []


async def test_what_is_dropped_while_it_waits_is_not_sent(
    office: Office, deliveries: Deliveries
) -> None:
    words(office).troubles["one"] = (False, NotSent("busy", retry_after=0.3))
    [delivery] = await office.written("one")
    async with working(office):
        office.post([delivery])
        await office.rest(("pending", 1, 0))
        await deliveries.drop(str(delivery.delivery_id))
        await office.finished()
    assert words(office).there == []
    assert [row["failure"] for row in await office.rows()] == ["dropped by an operator"]


@pytest.mark.parametrize("state", ["sending", "sent"])
async def test_what_is_there_or_on_its_way_is_neither_dropped_nor_retried(
    office: Office, deliveries: Deliveries, state: str
) -> None:
    [delivery] = await office.written("one")
    await office.set(state=state, attempts=1, owner=UUID(int=1))
    for change in (deliveries.retry, deliveries.drop):
        with pytest.raises(Refused, match="Nothing was changed") as refused:
            await change(str(delivery.delivery_id))
        assert refused.value.code == "CONFLICT_ERROR"
    assert await office.states() == [(state, 1, 0)]


@pytest.mark.parametrize(
    ("name", "error"), [("0" * 8, NotFound), ("zz", Refused), ("", Refused), ("a" * 400, Refused)]
)
async def test_a_name_that_is_none_is_refused(
    deliveries: Deliveries, name: str, error: type[Exception]
) -> None:
    for change in (deliveries.retry, deliveries.drop):
        with pytest.raises(error):
            await change(name)


async def _is_tried(deliveries: Deliveries) -> bool:
    return any(each["trouble"] for each in await deliveries.listed("open", None, 10))
