"""Whether a failed model call is tried again, and when. The one layer that retries model calls."""

from __future__ import annotations

from opencraw.errors import FailureKind, ModelFailure

MOST_TRIES = 3
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
BUDGET = 45.0

_PASSING = frozenset(
    {
        FailureKind.RATE_LIMITED,
        FailureKind.OVERLOADED,
        FailureKind.TIMEOUT,
        FailureKind.UNREACHABLE,
    }
)


def pause_before_retry(
    failure: ModelFailure, tries: int, elapsed: float, jitter: float
) -> float | None:
    """Seconds to wait before try number `tries + 1`; None when trying again makes no sense.

    `elapsed` is the time since the first try, `jitter` a random number from 0 to 1. A provider's
    own wish is a floor. Pauses double, and all tries together keep within `BUDGET` seconds.
    """
    if failure.kind not in _PASSING or tries >= MOST_TRIES:
        return None
    pause = min(FIRST_PAUSE * 2 ** (tries - 1), LONGEST_PAUSE) * (0.75 + jitter / 2)
    pause = max(pause, failure.retry_after or 0.0)
    return pause if elapsed + pause <= BUDGET else None
