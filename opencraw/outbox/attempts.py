"""What follows a failed send, decided from values alone."""

from __future__ import annotations

from dataclasses import dataclass

from opencraw.contract import LONGEST_WISH
from opencraw.errors import DeliveryFailure, MaybeSent, NeverSendable, NotSent
from opencraw.settings import USUAL_ATTEMPTS

#: Where a platform cannot recognise a second copy, so many attempts may have an unknown outcome.
MOST_UNKNOWN = 2
LONGEST_PAUSE = 60.0
#: Of the pause that a platform asks for, so much may come on top.
MOST_JITTER = 0.1


@dataclass(frozen=True, slots=True)
class Again:
    """Try again after `pause` seconds."""

    pause: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """A dead letter; `reason` is for the operator."""

    reason: str


def after_failure(
    failure: DeliveryFailure,
    attempt: int,
    unknown: int,
    *,
    idempotent: bool,
    most_attempts: int = USUAL_ATTEMPTS,
    jitter: float = 0.0,
) -> Again | GiveUp:
    """Decide what follows when attempt number `attempt` (from 1) failed.

    `unknown` of the attempts, this one included, may have arrived. `jitter`, from 0 to 1, is the
    chance by which those who have to wait for the same platform do not come back all at once.
    """
    if isinstance(failure, NeverSendable):
        return GiveUp(str(failure))
    if isinstance(failure, MaybeSent) and not may_repeat(unknown, idempotent=idempotent):
        return GiveUp(f"outcome unknown {unknown} times: {failure}")
    if attempt >= most_attempts:
        times = "one attempt" if attempt == 1 else f"{attempt} attempts"
        return GiveUp(f"not sent in {times}: {failure}")
    ours = min(2.0 ** (attempt - 1), LONGEST_PAUSE)
    wish = failure.retry_after if isinstance(failure, NotSent) else None
    # One that says it is back before it is must not use up all attempts at once.
    if wish is not None and wish > ours:
        return Again(min(wish, LONGEST_WISH) * (1 + MOST_JITTER * jitter))
    return Again(ours)


def may_repeat(unknown: int, *, idempotent: bool) -> bool:
    """Whether a delivery of which `unknown` attempts may have arrived may be sent once more."""
    return idempotent or unknown < MOST_UNKNOWN
