from __future__ import annotations

from opencraw.access.loops import MOST_EVENTS, MOST_REMEMBERED, Loops
from opencraw.contract import Address

HERE = Address("test", "account", "club")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_program_that_says_more_than_twenty_things_a_minute_is_not_heard_for_a_minute() -> None:
    clock = Clock()
    loops = Loops(clock)
    assert [loops.hears(HERE, "bot") for _ in range(MOST_EVENTS + 2)] == [True] * 20 + [False] * 2
    clock.now += 59.9
    assert not loops.hears(HERE, "bot")
    clock.now += 0.2
    assert [loops.hears(HERE, "bot") for _ in range(MOST_EVENTS + 1)] == [True] * 20 + [False]


def test_one_that_takes_its_time_is_heard_for_ever() -> None:
    clock = Clock()
    loops = Loops(clock)
    for _ in range(200):
        assert loops.hears(HERE, "bot")
        clock.now += 3.01


def test_each_is_counted_by_itself_in_each_chat() -> None:
    loops = Loops(Clock())
    for _ in range(MOST_EVENTS + 1):
        loops.hears(HERE, "bot")
    assert not loops.hears(HERE, "bot")
    assert loops.hears(HERE, "other")
    assert loops.hears(Address("test", "account", "elsewhere"), "bot")
    assert loops.hears(Address("test", "other account", "club"), "bot")


def test_many_names_do_not_fill_the_memory() -> None:
    loops = Loops(Clock())
    for number in range(MOST_REMEMBERED + 50):
        loops.hears(HERE, f"bot {number}")
    assert len(loops._records) == MOST_REMEMBERED
