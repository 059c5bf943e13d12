from __future__ import annotations

import math

import pytest

from opencraw.contract import LONGEST_WISH
from opencraw.errors import DeliveryFailure, MaybeSent, NeverSendable, NotSent
from opencraw.outbox.attempts import (
    LONGEST_PAUSE,
    MOST_UNKNOWN,
    Again,
    GiveUp,
    after_failure,
    may_repeat,
)
from opencraw.settings import USUAL_ATTEMPTS


@pytest.mark.parametrize(
    ("failure", "attempt", "unknown", "idempotent", "verdict"),
    [
        # Certainly not delivered: again, ever later; a platform's own wish is kept.
        (NotSent("busy"), 1, 0, False, Again(1.0)),
        (NotSent("busy"), 2, 0, False, Again(2.0)),
        (NotSent("busy"), 7, 0, False, Again(LONGEST_PAUSE)),
        (NotSent("busy", retry_after=30.0), 1, 0, False, Again(30.0)),
        # What it wishes is never shorter than our own pause, nor longer than an hour.
        (NotSent("busy", retry_after=0.0), 1, 0, False, Again(1.0)),
        (NotSent("busy", retry_after=0.0), 7, 0, False, Again(LONGEST_PAUSE)),
        (NotSent("busy", retry_after=-5.0), 3, 0, False, Again(4.0)),
        (NotSent("busy", retry_after=math.nan), 3, 0, False, Again(4.0)),
        (NotSent("busy", retry_after=math.inf), 1, 0, False, Again(LONGEST_WISH)),
        (NotSent("busy", retry_after=1e9), 1, 0, False, Again(LONGEST_WISH)),
        (NotSent("busy", retry_after=600.0), 1, 0, False, Again(600.0)),
        (NotSent("busy"), USUAL_ATTEMPTS, 0, True, GiveUp("not sent in 20 attempts: busy")),
        # Perhaps delivered: one copy more is the most, unless the platform drops it.
        (MaybeSent("reset"), 1, 1, False, Again(1.0)),
        (MaybeSent("reset"), 2, 2, False, GiveUp("outcome unknown 2 times: reset")),
        (MaybeSent("reset"), 4, 1, False, Again(8.0)),
        (NotSent("busy"), 2, 1, False, Again(2.0)),
        (MaybeSent("reset"), 2, 2, True, Again(2.0)),
        (MaybeSent("reset"), USUAL_ATTEMPTS, 8, True, GiveUp("not sent in 20 attempts: reset")),
        # Never.
        (NeverSendable("blocked"), 1, 0, True, GiveUp("blocked")),
    ],
)
def test_what_follows_a_failed_send(
    failure: DeliveryFailure,
    attempt: int,
    unknown: int,
    idempotent: bool,
    verdict: Again | GiveUp,
) -> None:
    assert after_failure(failure, attempt, unknown, idempotent=idempotent) == verdict


def test_a_channel_says_how_often_it_is_tried() -> None:
    verdict = after_failure(NotSent("busy"), 2, 0, idempotent=True, most_attempts=2)
    assert verdict == GiveUp("not sent in 2 attempts: busy")


@pytest.mark.parametrize(
    ("unknown", "idempotent", "may"),
    [
        (0, False, True),
        (1, False, True),
        (MOST_UNKNOWN, False, False),
        (MOST_UNKNOWN, True, True),
    ],
)
def test_how_often_a_send_that_was_cut_off_is_repeated(
    unknown: int, idempotent: bool, may: bool
) -> None:
    assert may_repeat(unknown, idempotent=idempotent) is may
