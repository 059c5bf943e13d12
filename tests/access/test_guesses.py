from __future__ import annotations

import pytest

from opencraw.access.guesses import LOCKED_SECONDS, MOST_REMEMBERED, WRONG_CODES, Guesses
from opencraw.errors import SlowDown


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_after_five_wrong_codes_somebody_is_not_listened_to_for_five_minutes() -> None:
    clock = Clock()
    guesses = Guesses(clock)
    for _ in range(WRONG_CODES):
        guesses.check("mallory")
        guesses.wrong("mallory")
    with pytest.raises(SlowDown) as refused:
        guesses.check("mallory")
    assert refused.value.retry_after == LOCKED_SECONDS
    guesses.check("alice")
    clock.now += LOCKED_SECONDS - 1
    with pytest.raises(SlowDown):
        guesses.check("mallory")
    clock.now += 1.1
    guesses.check("mallory")


def test_wrong_codes_of_long_ago_do_not_count() -> None:
    clock = Clock()
    guesses = Guesses(clock)
    for _ in range(20):
        guesses.check("clumsy")
        guesses.wrong("clumsy")
        clock.now += 75.1
    guesses.check("clumsy")


def test_many_names_do_not_fill_the_memory() -> None:
    guesses = Guesses(Clock())
    for number in range(MOST_REMEMBERED + 50):
        guesses.wrong(f"somebody {number}")
    assert len(guesses._records) == MOST_REMEMBERED
