"""A delivery that is sent in several messages begins again behind those that are there."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from opencraw.contract import Delivery, PartSent
from opencraw.errors import DeliveryFailure, MaybeSent, NotSent
from opencraw.outbox import attempts as attempts_module
from opencraw.outbox import sender as sender_module
from opencraw.outbox.sender import SQL
from opencraw.queue.nodes import Node
from opencraw.queue.turns import Settlement, TranscriptLine, Turns
from opencraw.store.database import Database
from tests.fixtures.core import until
from tests.fixtures.mailbox import Mailbox
from tests.outbox.test_sender import Office, working
from tests.queue.lane import begin


class Words(Mailbox):
    """A platform whose messages are single words, each with a number."""

    def __init__(self, *, idempotent: bool = False) -> None:
        super().__init__(idempotent=idempotent)
        #: What it has: the words, with a mark on those that may be there twice.
        self.there: list[str] = []
        #: By the word at which it goes wrong: whether the word arrives, and what is said then.
        self.troubles: dict[str, tuple[bool, BaseException]] = {}
        #: The word of which it never says that it arrived.
        self.stubborn = ""
        self.seen: list[Delivery] = []

    async def send(self, delivery: Delivery, sent: PartSent) -> None:
        self.seen.append(delivery)
        words = delivery.line.text.split()
        first = len(delivery.parts)
        for number, word in enumerate(words[first:], first):
            arrives, trouble = self.troubles.pop(word, (True, None))
            copy = delivery.recovered and not self.idempotent and number == first
            mark = "again:" if copy else ""
            if arrives:
                self.there.append(mark + word)
            if trouble is not None:
                raise trouble
            if word == self.stubborn:
                raise MaybeSent("no answer")
            await sent(f"id of {word}")


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts_module, "LONGEST_PAUSE", 0.02)


@pytest.fixture
async def office(database: Database) -> Office:
    node = Node(database, uuid4())
    await node.join()
    return Office(database, Words(), node)


async def looking(database: Database) -> Office:
    """Its channel knows, or looks, whether a part is there."""
    node = Node(database, uuid4())
    await node.join()
    return Office(database, Words(idempotent=True), node)


def words(office: Office) -> Words:
    assert isinstance(office.mailbox, Words)
    return office.mailbox


async def parts(office: Office) -> list[tuple[int, str]]:
    rows = await office.database.fetch("SELECT part, platform_id FROM sent_part ORDER BY part")
    return [(row["part"], row["platform_id"]) for row in rows]


async def sent(office: Office, text: str, trouble: DeliveryFailure, arrives: bool, at: str) -> None:
    words(office).troubles[at] = (arrives, trouble)
    deliveries = await office.written(text)
    async with working(office):
        office.post(deliveries)
        await office.finished()


async def test_every_part_is_on_record_with_its_name_on_the_platform(office: Office) -> None:
    [delivery] = await office.written("one two three")
    async with working(office):
        office.post([delivery])
        await office.rest(("sent", 1, 0))
    assert await parts(office) == [(1, "id of one"), (2, "id of two"), (3, "id of three")]


async def test_an_attempt_begins_behind_what_is_there(office: Office) -> None:
    await sent(office, "one two three", NotSent("busy", retry_after=0), False, at="three")
    assert words(office).there == ["one", "two", "three"]
    assert [each.parts for each in words(office).seen] == [(), ("id of one", "id of two")]


async def test_only_the_part_in_flight_may_be_there_twice(office: Office) -> None:
    await sent(office, "one two three", MaybeSent("no answer"), True, at="two")
    assert words(office).there == ["one", "two", "again:two", "three"]
    assert await office.states() == [("sent", 2, 0)]


async def test_what_comes_behind_an_uncertain_part_was_never_tried(office: Office) -> None:
    """Two parts are uncertain, each once: neither is given up, and a part that failed for certain
    is sent without a mark."""
    box = words(office)
    box.troubles["two"] = (True, MaybeSent("no answer"))
    box.troubles["three"] = (False, NotSent("busy", retry_after=0))
    box.troubles["four"] = (True, MaybeSent("no answer"))
    deliveries = await office.written("one two three four")
    async with working(office):
        office.post(deliveries)
        await office.finished()
    assert box.there == ["one", "two", "again:two", "three", "four", "again:four"]
    assert await office.states() == [("sent", 4, 0)]


async def test_a_part_that_is_uncertain_twice_is_given_up(office: Office) -> None:
    box = words(office)
    box.stubborn = "two"
    deliveries = await office.written("one two")
    async with working(office):
        office.post(deliveries)
        await office.finished()
    assert box.there == ["one", "two", "again:two"]
    assert [row["state"] for row in await office.rows()] == ["dead"]


async def test_whoever_looks_is_told_what_else_was_said_there_since_it_was_written(
    database: Database,
) -> None:
    office = await looking(database)
    box = words(office)
    await office.written("ancient")
    await office.written("elsewhere", chat="b")
    deliveries = [*await office.written("done"), *await office.written("done again")]
    box.troubles["again"] = (True, MaybeSent("no answer"))
    async with working(office):
        office.post(deliveries)
        await until(lambda: len(box.seen) == 5)
        await office.finished()
    first, second = (
        [each.others for each in box.seen if each.delivery_id == delivery.delivery_id]
        for delivery in deliveries
    )
    assert first == [()]
    assert second == [(), ("id of ancient", "id of done")]
    await office.database.fetch("UPDATE sent_part SET sent_at = now() - interval '1 hour'")
    box.troubles["third"] = (False, MaybeSent("no answer"))
    [third] = await office.written("third")
    async with working(office):
        office.post([third])
        await office.finished()
    assert [each.others for each in box.seen if each.delivery_id == third.delivery_id] == [(), ()]


async def test_whoever_looks_is_told_of_so_many_as_he_may_look_at(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_module, "MOST_OTHERS", 2)
    office = await looking(database)
    box = words(office)
    deliveries = await office.written("one", "two", "three", "four")
    box.troubles["four"] = (True, MaybeSent("no answer"))
    async with working(office):
        office.post(deliveries)
        await office.finished()
    assert box.seen[-1].others == ("id of one", "id of two")


async def test_where_nobody_looks_nobody_is_told(office: Office) -> None:
    box = words(office)
    deliveries = await office.written("one", "two")
    box.troubles["two"] = (True, MaybeSent("no answer"))
    async with working(office):
        office.post(deliveries)
        await office.finished()
    assert box.seen[-1].recovered
    assert box.seen[-1].others == ()


async def test_a_process_that_died_between_two_parts_is_followed_behind_them(
    office: Office,
) -> None:
    [delivery] = await office.written("one two three")
    await office.database.commit(SQL.part_sent, (delivery.delivery_id, 1, "id of one"))
    # It died while the second one was on its way.
    await office.set(state="sending", owner=UUID(int=1), attempts=1)
    async with working(office):
        await office.rest(("sent", 2, 0))
    assert words(office).there == ["again:two", "three"]


async def test_a_platform_that_knows_its_parts_gets_no_mark(database: Database) -> None:
    office = await looking(database)
    await sent(office, "one two", MaybeSent("no answer"), True, at="two")
    assert words(office).there == ["one", "two", "two"]


async def test_a_delivery_of_which_all_parts_are_there_is_sent(office: Office) -> None:
    """The process died behind the last part."""
    [delivery] = await office.written("one")
    await office.database.commit(SQL.part_sent, (delivery.delivery_id, 1, "id of one"))
    await office.set(state="sending", owner=UUID(int=1), attempts=1)
    async with working(office):
        await office.rest(("sent", 2, 1))
    assert words(office).there == []


async def test_the_same_part_told_twice_is_one_part(office: Office) -> None:
    [delivery] = await office.written("one")
    row = (delivery.delivery_id, 1, "id of one")
    await office.set(attempts=1, unknown=1)
    for _ in range(2):
        assert await office.database.commit(SQL.part_sent, row) is not None
    assert await parts(office) == [(1, "id of one")]
    assert await office.states() == [("pending", 1, 0)]


async def test_the_message_that_showed_the_turn_comes_with_its_answer_until_it_is_a_part(
    office: Office,
) -> None:
    [delivery] = await office.written("one two")
    await office.database.fetch("UPDATE turn SET draft_id = 'the draft', reply_context = 'x'")
    words(office).troubles["two"] = (False, NotSent("busy", retry_after=0))
    async with working(office):
        office.post([delivery])
        await office.finished()
    assert [each.draft for each in words(office).seen] == ["the draft", ""]


async def test_an_answer_whose_draft_may_be_there_may_be_a_second_copy_until_a_part_is_there(
    office: Office,
) -> None:
    [delivery] = await office.written("one two")
    await office.database.fetch("UPDATE turn SET draft_id = NULL")
    words(office).troubles["two"] = (False, NotSent("busy", retry_after=0))
    async with working(office):
        office.post([delivery])
        await office.finished()
    assert words(office).there == ["again:one", "two"]
    assert [(each.draft, each.recovered) for each in words(office).seen] == [
        (None, True),
        ("", False),
    ]


async def test_whoever_looks_for_a_draft_is_told_what_it_is_not(database: Database) -> None:
    office = await looking(database)
    deliveries = await office.written("one", "two")
    await office.database.fetch("UPDATE turn SET draft_id = NULL")
    async with working(office):
        office.post(deliveries)
        await office.finished()
    assert words(office).seen[-1].others == ("id of one",)
    assert words(office).there == ["one", "two"]


async def test_only_the_last_word_of_a_turn_takes_the_place_of_what_showed_it(
    office: Office,
) -> None:
    """What is told when a turn begins is not what people saw grow."""
    turns = Turns(office.database, office.node.id)
    turn = await begin(turns, "question")
    await office.database.fetch(
        "INSERT INTO outbox (delivery_id, session_id, turn_id, seq, channel, account, chat, thread,"
        " kind, text, state) SELECT gen_random_uuid(), session_id, id, 0, channel, account, chat,"
        " thread, 'notice', 'Some were summarized.', 'pending' FROM turn"
    )
    await office.database.fetch("UPDATE turn SET draft_id = 'the draft'")
    line = TranscriptLine("assistant", "answer")
    await turns.settle(turn, Settlement("done", (line,), "answer", tools=()))
    async with working(office):
        await until(lambda: len(words(office).seen) == 2)
    assert [(each.line.text, each.draft, each.ends) for each in words(office).seen] == [
        ("Some were summarized.", "", None),
        ("answer", "the draft", turn.id),
    ]


async def test_a_message_that_became_a_part_of_something_else_is_nobodys_draft(
    office: Office,
) -> None:
    [first, second] = await office.written("one", "two")
    await office.database.fetch("UPDATE turn SET draft_id = 'the draft'")
    await office.database.commit(SQL.part_sent, (first.delivery_id, 1, "the draft"))
    async with working(office):
        office.post([first, second])
        await office.finished()
    assert [each.draft for each in words(office).seen] == ["", ""]


async def test_whoever_is_told_to_wait_comes_back_a_little_later(office: Office) -> None:
    failure = NotSent("busy", retry_after=30.0)
    pauses = [
        attempts_module.after_failure(failure, 1, 0, idempotent=False, jitter=jitter)
        for jitter in (0.0, 1.0)
    ]
    assert pauses == [attempts_module.Again(30.0), attempts_module.Again(33.0)]


async def test_a_long_pause_of_one_conversation_delays_no_other(office: Office) -> None:
    words(office).troubles["slow"] = (False, NotSent("busy", retry_after=60.0))
    slow = await office.written("slow", "behind", chat="a")
    quick = await office.written("quick", chat="b")
    async with working(office):
        office.post([*slow, *quick])

        async def there() -> bool:
            return [state for state, *_ in await office.states()] == ["pending", "pending", "sent"]

        await until(there)
    assert words(office).there == ["quick"]
