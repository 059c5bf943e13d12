from __future__ import annotations

from contextlib import suppress
from uuid import uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opencraw.contract import Sender
from opencraw.errors import SlowDown
from opencraw.limits import rates as rates_module
from opencraw.limits.rates import Rates, bucket_of, sender_of
from tests.fixtures.core import address, envelope


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def say(rates: Rates, count: int = 1, sender: str = "ada") -> int:
    """Offer new messages; returns how many of them were taken."""
    taken = 0
    for _ in range(count):
        try:
            rates.take(sender, str(uuid4()))
        except SlowDown:
            continue
        taken += 1
    return taken


def test_a_burst_is_taken_up_to_the_limit_and_then_the_bucket_fills_up_again() -> None:
    clock = Clock()
    rates = Rates(60, clock=clock)
    assert say(rates, 100) == 60
    with pytest.raises(SlowDown, match="60 messages a minute") as slow:
        rates.take("ada", "one more")
    assert slow.value.retry_after == pytest.approx(1.0)
    clock.now += slow.value.retry_after
    assert say(rates, 2) == 1, "the pause that it names is long enough, and for one"
    clock.now += 3600
    assert say(rates, 100) == 60, "a bucket does not grow beyond its size"


def test_one_sender_leaves_the_others_alone() -> None:
    rates = Rates(2, clock=Clock())
    assert say(rates, 5) == 2
    assert say(rates, 5, "bob") == 2


def test_a_channel_may_have_a_rate_of_its_own() -> None:
    clock = Clock()
    rates = Rates(2, own={"quick": 5, "free": 0}, clock=clock)
    for channel, taken in (("quick", 5), ("free", 10), ("plain", 2)):
        sender = sender_of(envelope("hi", channel=channel))
        rates.others_took(sender)
        assert say(rates, 10, sender) == (taken if channel == "free" else taken - 1)
    with pytest.raises(SlowDown, match="5 messages a minute") as slow:
        rates.take(sender_of(envelope("hi", channel="quick")), "one more")
    assert slow.value.retry_after == pytest.approx(12.0)


def test_zero_is_no_limit() -> None:
    rates = Rates(0)
    assert say(rates, 10_000) == 10_000
    for _ in range(100):
        rates.others_took("ada")
    assert say(rates) == 1


def test_what_is_offered_again_counts_once() -> None:
    rates = Rates(2, clock=Clock())
    for _ in range(10):
        rates.take("ada", "the same")
    assert say(rates, 5) == 1
    rates.take("ada", "the same")
    with pytest.raises(SlowDown):
        rates.take("ada", "another")


def test_what_was_refused_was_not_counted_and_is_not_let_through_by_its_key() -> None:
    clock = Clock()
    rates = Rates(1, clock=clock)
    rates.take("ada", "first")
    for _ in range(3):
        with pytest.raises(SlowDown):
            rates.take("ada", "second")
    clock.now += 60
    rates.take("ada", "second")


def test_the_same_message_may_be_offered_ten_times_as_often_and_no_more() -> None:
    rates = Rates(2, clock=Clock())
    taken = 0
    with suppress(SlowDown):
        for taken in range(100):  # noqa: B007 - how far it came is what counts
            rates.take("ada", "the same")
    assert 20 <= taken <= 21
    assert say(rates, 5) == 1, "the others are not the worse for it"


def test_a_key_is_its_senders_own() -> None:
    """Nobody speaks for nothing with the key of somebody else."""
    rates = Rates(1, clock=Clock())
    rates.take("ada", "1")
    rates.take("bob", "1")
    assert say(rates, 1, "bob") == 0


def test_others_are_told_what_was_taken_and_not_what_was_refused_or_repeated() -> None:
    told: list[str] = []
    rates = Rates(2, clock=Clock(), tell_others=told.append)
    rates.take("ada", "same")
    rates.take("ada", "same")
    say(rates, 5)
    assert told == ["ada", "ada"]


def test_what_others_took_is_gone_here_too() -> None:
    clock = Clock()
    rates = Rates(10, clock=clock)
    for _ in range(7):
        rates.others_took("ada")
    assert say(rates, 10) == 3
    for _ in range(1_000):
        rates.others_took("ada")
    clock.now += 6
    assert say(rates, 10) == 1, "nobody pays for more than a bucket"
    assert say(rates, 10, "bob") == 10


def test_memory_is_bounded_and_those_who_spoke_last_are_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rates_module, "MOST_SENDERS", 100)
    monkeypatch.setattr(rates_module, "MOST_KEYS", 100)
    rates = Rates(1, clock=Clock())
    say(rates, 1, "quiet")
    say(rates, 1, "busy")
    for number in range(1_000):
        say(rates, 1, f"sender {number}")
        assert say(rates, 1, "busy") == 0, "nobody is forgotten who is held back"
    assert say(rates, 1, "sender 999") == 0
    assert say(rates, 1, "quiet") == 1
    assert len(rates._buckets) == 100
    assert len(rates._counted) == 100


@given(
    per_minute=st.integers(1, 100),
    pauses=st.lists(st.floats(0, 30, allow_nan=False), max_size=200),
)
def test_no_stretch_of_time_has_more_than_its_rate_and_one_burst(
    per_minute: int, pauses: list[float]
) -> None:
    clock = Clock()
    rates = Rates(per_minute, clock=clock)
    taken = 0
    for pause in pauses:
        clock.now += pause
        taken += say(rates)
    assert taken <= per_minute + sum(pauses) * per_minute / 60 + 1e-6


def test_what_we_catch_up_on_is_counted_when_it_was_written() -> None:
    clock = Clock()
    rates, now, taken = Rates(3, clock=clock), 1_800_000_000.0, 0
    assert now % 60 == 0

    def offer(ago: float | None) -> bool:
        written_at = None if ago is None else now - ago
        late = msgspec.structs.replace(envelope("hi"), written_at=written_at)
        try:
            rates.take(bucket_of(late, now), str(uuid4()))
        except SlowDown:
            return False
        return True

    hours = [60 * minute for minute in range(2, 1_440)]
    taken = sum(offer(ago + second) for second in (0, -20, -40) for ago in hours)
    assert taken == 3 * len(hours), "in whatever order it comes"
    assert not offer(90.0 + 30.0 - 10.0), "in each minute no more than in any"
    assert sum(offer(ago) for ago in (None, 0.0, 30.0, None)) == 3, "now is another matter"
    assert not offer(-3_600.0), "and no clock lets anybody speak in advance"


def test_a_sender_is_named_without_ambiguity() -> None:
    plain = envelope("hello")
    variants = [
        plain,
        msgspec.structs.replace(plain, tenant="other"),
        msgspec.structs.replace(plain, address=address(channel="other")),
        msgspec.structs.replace(plain, sender=Sender("a/b", "", plain.sender.rights)),
        msgspec.structs.replace(plain, sender=Sender("a%2Fb", "", plain.sender.rights)),
    ]
    assert len({sender_of(each) for each in variants}) == len(variants)
    elsewhere = msgspec.structs.replace(plain, address=address("another chat"))
    assert sender_of(elsewhere) == sender_of(plain), "one person is one sender in all chats"
