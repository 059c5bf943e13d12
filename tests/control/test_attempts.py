from __future__ import annotations

import pytest

from opencraw.control.attempts import LOCKED_SECONDS, PLACES, WRONG_TOKENS, Attempts, network

HERE = ("127.0.0.1", "")
THERE = ("127.0.0.1", "http://localhost:3000")


def fail(attempts: Attempts, times: int, now: float, every: float = 0.0) -> list[bool]:
    return [attempts.failed(HERE, now + number * every) for number in range(times)]


def test_the_tenth_wrong_token_locks_for_five_minutes() -> None:
    attempts = Attempts()
    assert fail(attempts, WRONG_TOKENS - 1, now=0) == [False] * (WRONG_TOKENS - 1)
    assert attempts.locked_for(HERE, 0) == 0
    assert attempts.failed(HERE, 1)
    assert attempts.locked_for(HERE, 1) == LOCKED_SECONDS
    assert attempts.locked_for(HERE, LOCKED_SECONDS) == 1
    assert attempts.locked_for(HERE, LOCKED_SECONDS + 1) == 0
    assert attempts.locked_for(THERE, 1) == 0


def test_slow_mistakes_are_forgiven() -> None:
    attempts = Attempts()
    assert not any(fail(attempts, 100, now=0, every=7))


def test_more_guesses_do_not_lengthen_the_lock() -> None:
    attempts = Attempts()
    fail(attempts, WRONG_TOKENS, now=0)
    fail(attempts, WRONG_TOKENS * 5, now=100)
    assert attempts.locked_for(HERE, 200) == 100


def test_a_thousand_places_are_remembered_and_no_more() -> None:
    attempts = Attempts()
    for number in range(PLACES * 3):
        attempts.failed((f"10.0.{number}", ""), 0)
    assert len(attempts._records) == PLACES


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_a_peer_is_an_address_or_a_network_of_one_customer(address: str, peer: str) -> None:
    assert network(address) == peer
