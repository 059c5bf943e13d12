from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from uuid import UUID, uuid4

import pytest

from opencraw.contract import Delivery
from opencraw.errors import MaybeSent, NeverSendable, NotSent
from opencraw.outbox import attempts as attempts_module
from opencraw.outbox.sender import Outbox, _Outgoing
from opencraw.queue.nodes import Node
from opencraw.queue.turns import Settlement, TranscriptLine, Turns
from opencraw.sessions.send_policy import Place
from opencraw.store.database import Database, Record
from tests.fixtures.core import until
from tests.fixtures.mailbox import Mailbox
from tests.queue.lane import begin


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long they are is decided, and tested, elsewhere."""
    monkeypatch.setattr(attempts_module, "LONGEST_PAUSE", 0.02)


class Office:
    """A database, a node, an outbox and the platform behind it."""

    def __init__(self, database: Database, mailbox: Mailbox, node: Node) -> None:
        self.database = database
        self.mailbox = mailbox
        self.node = node
        self.outbox = Outbox(database, node.id, {"test": mailbox})

    async def written(self, *texts: str, chat: str = "a") -> list[Delivery]:
        """Replies that were committed and that nobody sends yet."""
        turns, deliveries = Turns(self.database, self.node.id), []
        for text in texts:
            turn = await begin(turns, "question", chat=chat)
            line = TranscriptLine("assistant", text)
            delivery = await turns.settle(turn, Settlement("done", (line,), text, tools=("a", "b")))
            assert delivery is not None
            deliveries.append(delivery)
        return deliveries

    def post(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            self.outbox.post(delivery)

    async def rows(self) -> list[Record]:
        return await self.database.fetch("SELECT * FROM outbox ORDER BY id")

    async def states(self) -> list[tuple[str, int, int]]:
        return [(row["state"], row["attempts"], row["unknown"]) for row in await self.rows()]

    async def rest(self, *states: tuple[str, int, int]) -> None:
        """Wait until the rows stand like this: state, attempts, unknown outcomes."""

        async def there() -> bool:
            return await self.states() == list(states)

        try:
            await until(there, f"{states}")
        except AssertionError as error:
            raise AssertionError(f"{error}; there is {await self.states()}") from None

    async def finished(self) -> None:
        """Wait until nothing is left to be sent."""

        async def there() -> bool:
            return all(row["state"] in ("sent", "dead") for row in await self.rows())

        await until(there, "nothing is left")

    async def set(self, **columns: object) -> None:
        """Leave the rows as a process that died did."""
        names = ", ".join(f"{name} = ${place}" for place, name in enumerate(columns, 1))
        await self.database.fetch(f"UPDATE outbox SET {names}", *columns.values())


@asynccontextmanager
async def working(office: Office) -> AsyncIterator[None]:
    task = asyncio.create_task(office.outbox.run())
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def opened(
    database: Database, *, idempotent: bool = False, home: UUID | None = None
) -> Office:
    node = Node(database, home or uuid4())
    await node.join()
    return Office(database, Mailbox(idempotent=idempotent), node)


@pytest.fixture
async def office(database: Database) -> Office:
    return await opened(database)


def soon(failure: type[NotSent] = NotSent) -> NotSent:
    return failure("busy", retry_after=0.0)


async def test_a_delivery_is_sent_as_it_was_written(office: Office) -> None:
    [delivery] = await office.written("Hello.")
    async with working(office):
        office.post([delivery])
        await office.rest(("sent", 1, 0))
        await office.finished()
    assert office.mailbox.got == [delivery]


async def test_what_was_never_posted_is_found(office: Office) -> None:
    """The process died between the commit and the send."""
    deliveries = await office.written("one", "two", "three")
    async with working(office):
        await office.rest(*[("sent", 1, 0)] * 3)
    assert office.mailbox.got == deliveries


async def test_one_that_is_posted_and_found_is_sent_once(office: Office) -> None:
    deliveries = await office.written("one", "two")
    office.post(deliveries)
    office.post(deliveries)
    async with working(office):
        await office.rest(*[("sent", 1, 0)] * 2)
        office.post(deliveries)
        await office.finished()
    assert office.mailbox.texts() == ["one", "two"]


async def test_one_conversation_does_not_wait_for_another(office: Office) -> None:
    stuck = await office.written("one", "two", chat="a")
    other = await office.written("three", chat="b")
    office.mailbox.trouble.append(NotSent("busy", retry_after=60.0))
    async with working(office):
        office.post(stuck)
        await until(lambda: not office.mailbox.trouble)
        office.post(other)
        await until(lambda: office.mailbox.texts("b") == ["three"])
        assert office.mailbox.texts("a") == [], "two must not overtake one"


async def test_a_conversation_keeps_its_order_whatever_fails(office: Office) -> None:
    deliveries = await office.written("one", "two", "three")
    office.mailbox.trouble.extend(
        [soon(), soon(), None, soon(), None, RuntimeError("a defect"), None]
    )
    async with working(office):
        office.post(deliveries)
        await office.rest(("sent", 3, 0), ("sent", 2, 0), ("sent", 2, 1))
    assert office.mailbox.texts() == ["one", "two", "three"]


async def test_a_pause_outlives_the_process_and_so_does_the_order(office: Office) -> None:
    await office.written("one", "two")
    began = time.monotonic()
    await office.database.fetch(
        "UPDATE outbox SET attempts = 1, owner = $1, not_before = now() + interval '0.4 seconds'"
        " WHERE text = 'one'",
        office.node.id,
    )
    async with working(office):
        await until(lambda: office.mailbox.got)
        assert time.monotonic() - began >= 0.4
        await office.rest(("sent", 2, 0), ("sent", 1, 0))
    assert office.mailbox.texts() == ["one", "two"]


async def test_an_attempt_is_on_record_before_it_is_made(office: Office) -> None:
    deliveries = await office.written("one")
    office.mailbox.gate.clear()
    async with working(office):
        office.post(deliveries)
        await office.rest(("sending", 1, 0))
        office.mailbox.gate.set()
        await office.rest(("sent", 1, 0))


async def test_what_will_never_arrive_is_a_dead_letter_and_the_next_goes_on(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    deliveries = await office.written("one", "two")
    office.mailbox.trouble.append(NeverSendable("the person blocked us \x00"))
    async with working(office):
        office.post(deliveries)
        await office.rest(("dead", 1, 0), ("sent", 1, 0))
    [row, _] = await office.rows()
    assert row["failure"] == "the person blocked us \ufffd"
    assert "the person blocked us" in caplog.text


async def test_its_channel_is_told_of_each_attempt_that_fails_and_of_a_dead_letter(
    office: Office,
) -> None:
    deliveries = await office.written("one")
    office.mailbox.trouble.extend([soon(), RuntimeError("a defect"), NeverSendable("blocked")])
    async with working(office):
        office.post(deliveries)
        await office.rest(("dead", 3, 1))
    assert office.mailbox.failures == [(1, "busy"), (2, "RuntimeError: a defect"), (3, "blocked")]
    assert office.mailbox.dead == ["blocked"]


async def test_an_unknown_outcome_is_repeated_once_and_says_so(office: Office) -> None:
    deliveries = await office.written("one", "two")
    office.mailbox.trouble.append(MaybeSent("reset"))
    async with working(office):
        office.post(deliveries)
        await office.rest(("sent", 2, 1), ("sent", 1, 0))
    assert [each.recovered for each in office.mailbox.got] == [True, False]


async def test_after_two_unknown_outcomes_it_stops(office: Office) -> None:
    deliveries = await office.written("one")
    office.mailbox.trouble.extend([soon(), MaybeSent("reset"), MaybeSent("reset")])
    async with working(office):
        office.post(deliveries)
        await office.rest(("dead", 3, 2))
    assert office.mailbox.got == []


async def test_where_the_platform_drops_copies_an_unknown_outcome_is_no_trouble(
    database: Database,
) -> None:
    office = await opened(database, idempotent=True)
    deliveries = await office.written("one")
    office.mailbox.trouble.extend([MaybeSent("reset"), MaybeSent("reset")])
    async with working(office):
        office.post(deliveries)
        await office.rest(("sent", 3, 2))
    assert [each.recovered for each in office.mailbox.got] == [True], "keys are forgotten"


async def test_a_channel_with_a_defect_does_not_send_for_ever(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    deliveries = await office.written("one", "two")
    office.mailbox.trouble.extend([RuntimeError("a defect")] * 2)
    async with working(office):
        office.post(deliveries)
        await office.rest(("dead", 2, 2), ("sent", 1, 0))
    assert "a defect" in caplog.text


async def test_a_cancellation_that_nobody_asked_for_is_a_defect_of_the_channel(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    """The channel awaited a task of its own that was cancelled."""
    deliveries = await office.written("one", "two", "three")
    office.mailbox.trouble.extend([asyncio.CancelledError(), None, asyncio.CancelledError()])
    async with working(office):
        office.post(deliveries)
        await office.rest(("sent", 2, 1), ("sent", 2, 1), ("sent", 1, 0))
        await office.finished()
    assert [each.recovered for each in office.mailbox.got] == [True, True, False]
    assert "CancelledError" in caplog.text


async def test_whoever_is_asked_to_end_ends_in_the_middle_of_a_send(office: Office) -> None:
    deliveries = await office.written("one")
    office.mailbox.gate.clear()
    async with asyncio.timeout(5):
        async with working(office):
            office.post(deliveries)
            await office.rest(("sending", 1, 0))
    assert await office.states() == [("sending", 1, 0)], "nobody knows whether it arrived"


class _Stumbles(Outbox):
    """Loses a task of its own when it first wants to put an attempt on record."""

    stumbled = False

    async def _begin(self, outgoing: _Outgoing) -> Place | None:
        if not self.stumbled:
            self.stumbled = True
            raise asyncio.CancelledError
        return await super()._begin(outgoing)


async def test_however_a_conversation_ends_its_deliveries_are_found_again(office: Office) -> None:
    deliveries = await office.written("one", "two")
    office.outbox = _Stumbles(office.database, office.node.id, {"test": office.mailbox})
    async with working(office):
        office.post(deliveries)
        await office.rest(*[("sent", 1, 0)] * 2)
        await office.finished()
    assert office.mailbox.texts() == ["one", "two"]


@pytest.mark.parametrize(
    ("idempotent", "attempts", "unknown", "end", "recovered"),
    [
        (False, 1, 0, "sent", True),
        (False, 2, 0, "sent", True),  # the first was certainly not sent
        (False, 2, 1, "dead", None),
        (True, 1, 0, "sent", True),
        (True, 2, 0, "sent", True),
        (True, 5, 4, "sent", True),
    ],
)
async def test_a_send_that_was_cut_off_by_death(
    database: Database,
    idempotent: bool,
    attempts: int,
    unknown: int,
    end: str,
    recovered: bool | None,
) -> None:
    home = uuid4()
    before = await opened(database, home=home)
    [delivery] = await before.written("one")
    await before.set(state="sending", owner=before.node.id, attempts=attempts, unknown=unknown)
    after = await opened(database, idempotent=idempotent, home=home)
    async with working(after):
        await after.rest((end, attempts + (end == "sent"), unknown + 1))
    assert [each.recovered for each in after.mailbox.got] == (
        [] if recovered is None else [recovered]
    )
    assert [each.delivery_id for each in after.mailbox.got] == [delivery.delivery_id] * (
        end == "sent"
    )


async def test_an_unknown_outcome_is_remembered_over_a_restart(database: Database) -> None:
    """The process died in the pause after it: the copy that follows is marked all the same."""
    home = uuid4()
    before = await opened(database, home=home)
    deliveries = await before.written("one")
    before.mailbox.trouble.append(MaybeSent("reset"))
    async with working(before):
        before.post(deliveries)
        await before.rest(("pending", 1, 1))
    await before.set(not_before=None)
    after = await opened(database, home=home)
    async with working(after):
        await after.rest(("sent", 2, 1))
    assert [each.recovered for each in after.mailbox.got] == [True]


async def test_what_a_living_node_sends_is_left_to_it(database: Database) -> None:
    theirs, ours = await opened(database), await opened(database)
    deliveries = await theirs.written("one")
    theirs.mailbox.gate.clear()
    async with working(theirs):
        theirs.post(deliveries)
        await theirs.rest(("sending", 1, 0))
        async with working(ours):
            [mine] = await ours.written("two", chat="b")
            ours.post([mine, *deliveries])
            await until(lambda: ours.mailbox.texts("b") == ["two"])
            await ours.outbox.drained()
        theirs.mailbox.gate.set()
        await theirs.rest(("sent", 1, 0), ("sent", 1, 0))
    assert ours.mailbox.texts("a") == []
    assert theirs.mailbox.texts("a") == ["one"]


async def test_a_delivery_for_a_channel_that_is_not_open_waits_for_it(database: Database) -> None:
    office = await opened(database)
    deliveries = await office.written("one")
    closed = Outbox(database, office.node.id, {})
    closed.post(deliveries[0])
    await closed.drained()
    assert await office.states() == [("pending", 0, 0)]


async def test_whoever_stops_does_not_wait_for_what_is_tried_again_later(office: Office) -> None:
    office.mailbox.trouble.append(NotSent("nobody is there", retry_after=3600.0))
    async with working(office), asyncio.timeout(20):
        office.post(await office.written("one", "two"))
        office.post(await office.written("other", chat="b"))
        await office.outbox.drained()
    assert await office.states() == [("pending", 1, 0), ("pending", 0, 0), ("sent", 1, 0)]


async def test_a_channel_that_is_tried_once_is_tried_once(office: Office) -> None:
    office.mailbox.most_attempts = 1
    office.mailbox.trouble.append(NotSent("busy"))
    office.post(await office.written("hello"))
    async with working(office):
        await office.rest(("dead", 1, 0))
    [row] = await office.rows()
    assert row["failure"] == "not sent in one attempt: busy"
