from __future__ import annotations

import asyncio
import math
import operator
import time
from collections.abc import Callable
from functools import partial
from typing import Any, cast
from uuid import uuid4

import msgspec
import pytest

from channels.markdown import markdown_parts
from channels.marks import RECOVERED, markable, marked
from channels.pacing import Pace, Paces, wish, wish_until
from channels.receiving import KEPT_BYTES, lasting, offer, side_by_side, understood
from channels.telegram.dialect import telegram_parts
from opencraw.contract import LONGEST_WISH, Address, Envelope, Gateway, Receipt, Rights, Sender
from opencraw.errors import MaybeSent, NotAdmitted, QueueFull, Refused, Unavailable


class Doors:
    """The part of a gateway that is asked here; `answers` are raised, or else accepted."""

    def __init__(self, *answers: Exception) -> None:
        self._answers = list(answers)
        self.taken: list[str] = []
        self.told: list[tuple[str, str]] = []
        self.kept: list[tuple[str, str]] = []
        self.waiting = 0
        self.most_waiting = 0

    async def accept(self, envelope: Envelope) -> Receipt:
        self.waiting += 1
        self.most_waiting = max(self.most_waiting, self.waiting)
        await asyncio.sleep(0.001)
        self.waiting -= 1
        if self._answers:
            raise self._answers.pop(0)
        self.taken.append(envelope.text)
        return Receipt(uuid4(), duplicate=False)

    async def tell(self, address: Address, text: str, *, reply_context: str = "") -> None:
        self.told.append((text, reply_context))

    async def quarantine(self, channel: str, account: str, payload: str, problem: str) -> None:
        if self._answers:
            raise self._answers.pop(0)
        self.kept.append((payload, problem))


def gateway(doors: Doors) -> Gateway:
    return cast("Gateway", doors)


def said(text: str, chat: str = "a") -> Envelope:
    return Envelope(
        Address("test", "", chat),
        Sender("1", "A", Rights.GUEST),
        text,
        text,
        uuid4(),
        reply_context="to this",
    )


async def test_a_message_is_offered_until_it_is_durable() -> None:
    doors = Doors(Unavailable("away", retry_after=0.001), Unavailable("away", retry_after=0.001))
    receipt = await offer(gateway(doors), said("Hello"))
    assert receipt is not None
    assert doors.taken == ["Hello"]


async def test_a_message_that_is_refused_is_told_where_it_was_written() -> None:
    doors = Doors(Refused("it is too long"))
    assert await offer(gateway(doors), said("Hello")) is None
    assert doors.told == [("This message was not taken: it is too long", "to this")]


async def test_a_message_for_a_full_lane_is_told_so_and_holds_up_nobody() -> None:
    doors = Doors(QueueFull("20 messages of this conversation wait already"))
    async with asyncio.timeout(5):
        assert await offer(gateway(doors), said("one too many")) is None
        assert await offer(gateway(doors), said("/stop")) is not None
    assert doors.taken == ["/stop"]
    [(told, _)] = doors.told
    assert "20 messages of this conversation wait already" in told


async def test_who_is_not_let_in_is_told_nothing() -> None:
    doors = Doors(NotAdmitted("a stranger"))
    assert await offer(gateway(doors), said("Hello")) is None
    assert not doors.told


async def test_messages_of_a_chat_are_taken_in_order_and_chats_side_by_side() -> None:
    doors = Doors()
    envelopes = [said(f"{chat}{n}", chat) for n in range(5) for chat in "abc"]
    await side_by_side(envelopes, lambda each: each.address, partial(offer, gateway(doors)))
    assert doors.most_waiting == 3
    for chat in "abc":
        assert [text for text in doors.taken if text[0] == chat] == [f"{chat}{n}" for n in range(5)]


async def test_the_first_chat_that_fails_ends_the_others_and_is_raised_by_itself() -> None:
    ended: list[int] = []

    async def take(number: int) -> None:
        if number == 3:
            raise MaybeSent("the platform broke")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append(number)
            raise

    with pytest.raises(MaybeSent):
        await side_by_side([1, 2, 3], lambda number: number, take)
    assert sorted(ended) == [1, 2]


async def test_an_answer_is_asked_for_until_there_is_one() -> None:
    answers: list[Exception | str] = [Unavailable("away", retry_after=0.001), "here"]

    async def call() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert await lasting(call) == "here"


@pytest.mark.parametrize(
    "translate",
    [
        lambda: {"a": 1}["chat"],
        lambda: int("words"),
        lambda: cast("Any", None).text,
        lambda: cast("Any", 7) + "a",
        lambda: msgspec.json.decode(b"{"),
        lambda: "words"[9],
        lambda: 1 / 0,
    ],
)
async def test_an_event_with_a_defect_is_put_aside(translate: Callable[[], object]) -> None:
    doors = Doors(Unavailable("away", retry_after=0.001))
    assert await understood(gateway(doors), "test", "", {"chat": 7}, translate) is None
    [(payload, problem)] = doors.kept
    assert payload == '{"chat":7}'
    assert "Error" in problem


async def test_a_defect_of_ours_is_not_taken_for_one_of_the_data() -> None:
    def translate() -> object:
        raise NotImplementedError

    with pytest.raises(NotImplementedError):
        await understood(gateway(Doors()), "test", "", {}, translate)


@pytest.mark.parametrize("raw", [b"\xff" * 200_000, "x" * 200_000, {"text": "\ud800" * 50_000}])
async def test_of_an_event_that_is_put_aside_only_so_much_is_kept(raw: object) -> None:
    doors = Doors()
    await understood(gateway(doors), "test", "", raw, lambda: int("words"))
    [(payload, _)] = doors.kept
    assert 1_000 < len(payload) <= KEPT_BYTES
    payload.encode()


# Pace.


async def test_a_pace_lets_a_burst_through_and_then_so_many_in_a_second() -> None:
    pace, began = Pace(50.0, 3), time.monotonic()
    for _ in range(8):
        await pace.wait()
    assert 0.09 <= time.monotonic() - began < 1.0


async def test_who_waits_goes_in_order_and_is_not_overtaken() -> None:
    pace, order = Pace(200.0, 1), []

    async def go(number: int) -> None:
        await pace.wait()
        order.append(number)

    waiting = [asyncio.ensure_future(go(number)) for number in range(5)]
    await asyncio.sleep(0)
    assert not pace.ready()
    await asyncio.gather(*waiting)
    assert order == [0, 1, 2, 3, 4]


async def test_a_pause_that_the_platform_asks_for_holds_everybody() -> None:
    pace, began = Pace(1000.0, 5), time.monotonic()
    pace.hold(0.1)
    pace.hold(0.01)
    assert not pace.ready()
    await pace.wait()
    assert time.monotonic() - began >= 0.1
    assert pace.ready()


async def test_a_pause_that_begins_while_somebody_waits_holds_them_too() -> None:
    pace = Pace(50.0, 1)
    await pace.wait()
    began = time.monotonic()
    waiting = asyncio.ensure_future(pace.wait())
    await asyncio.sleep(0)
    pace.hold(0.1)
    await waiting
    assert time.monotonic() - began >= 0.1


@pytest.mark.parametrize("seconds", [1e9, math.inf, math.nan, -5.0])
def test_a_pause_has_an_end_whatever_a_platform_wishes(seconds: float) -> None:
    pace = Pace(50.0, 1)
    pace.hold(seconds)
    assert pace._short_of() <= LONGEST_WISH


NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (3, 3.0),
        ("3", 3.0),
        (" 1.5 ", 1.5),
        ("-7", 0.0),
        ("1e9", LONGEST_WISH),
        ("inf", LONGEST_WISH),
        (10**400, None),
        ("nan", None),
        (math.nan, None),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30.0),
        ("Tue, 14 Nov 2023 22:13:10 GMT", 0.0),
        ("Tue, 14 Nov 2124 22:13:10 GMT", LONGEST_WISH),
        ("Tue, 99 Nov 9999 99:99:99 GMT", None),
        ("soon", None),
        ("", None),
        (None, None),
        ([3], None),
    ],
)
def test_a_platform_says_in_many_ways_for_how_long_it_wants_peace(
    said: object, seconds: float | None
) -> None:
    assert wish(said, now=NOW) == seconds


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("1700000030500", 30.5),
        (1_700_000_030_500, 30.5),
        ("1600000000000", 0.0),
        ("9" * 400, LONGEST_WISH),
        ("nan", None),
        ("soon", None),
        (None, None),
    ],
)
def test_or_the_time_at_which_it_will_have_had_enough_of_it(
    said: object, seconds: float | None
) -> None:
    assert wish_until(said, now=NOW) == seconds


def test_the_pace_of_the_chat_that_was_quiet_for_longest_is_forgotten() -> None:
    paces = Paces(lambda: Pace(1.0, 1), most=2)
    a, b = paces.of("a"), paces.of("b")
    assert paces.of("a") is a
    paces.of("c")
    assert paces.of("a") is a
    assert paces.of("b") is not b


# Marks.


@pytest.mark.parametrize("limit", [100, 4000])
def test_a_part_is_within_the_limit_also_when_it_is_marked_as_a_second_copy(limit: int) -> None:
    text = "The same words again and again. " * 400
    parts = markable(text, limit, markdown_parts, operator.add)
    assert max(len(part.copy) for part in parts) <= limit
    assert all(part.copy == f"{RECOVERED}\n\n{part.text}" for part in parts)
    assert " ".join(part.text for part in parts) == text.strip()


def test_the_mark_moves_the_formatting_of_what_it_stands_before() -> None:
    [part] = markable("**bold** 👍", 4000, telegram_parts, lambda words, it: it.behind(words))
    [bold] = part.copy.entities
    assert part.copy.text[bold.offset : bold.offset + bold.length] == "bold"


def test_a_text_that_is_never_cut_is_marked_as_a_whole() -> None:
    assert marked("Hello") == f"{RECOVERED}\n\nHello"
