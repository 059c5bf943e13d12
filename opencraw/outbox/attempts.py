"""What follows a failed send, decided from values alone."""

from __future__ import annotations

from dataclasses import dataclass

from opencraw.errors import DeliveryFailure, MaybeSent, NeverSendable, NotSent

MOST_ATTEMPTS = 8
#: Where a platform cannot recognise a second copy, so many attempts may have an unknown outcome.
MOST_UNKNOWN = 2
LONGEST_PAUSE = 60.0


@dataclass(frozen=True, slots=True)
class Again:
    """Try again after `pause` seconds."""

    pause: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """A dead letter; `reason` is for the operator."""

    reason: str


def after_failure(failure: DeliveryFailure, attempt: int, *, idempotent: bool) -> Again | GiveUp:
    """Decide what follows when attempt number `attempt` (from 1) failed."""
    if isinstance(failure, NeverSendable):
        return GiveUp(str(failure))
    if isinstance(failure, MaybeSent) and not idempotent and attempt >= MOST_UNKNOWN:
        return GiveUp(f"outcome unknown after {attempt} attempts: {failure}")
    if attempt >= MOST_ATTEMPTS:
        return GiveUp(f"not sent in {attempt} attempts: {failure}")
    wish = failure.retry_after if isinstance(failure, NotSent) else None
    return Again(wish if wish is not None else min(2.0 ** (attempt - 1), LONGEST_PAUSE))


def may_repeat(attempts: int, *, idempotent: bool) -> bool:
    """Whether a delivery whose last attempt was cut off may be sent once more."""
    return idempotent or attempts < MOST_UNKNOWN
