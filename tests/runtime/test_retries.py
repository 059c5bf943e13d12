from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opencraw.errors import FailureKind, ModelFailure
from opencraw.runtime.retries import BUDGET, LONGEST_PAUSE, MOST_TRIES, pause_before_retry


def failure(kind: FailureKind, retry_after: float | None = None) -> ModelFailure:
    return ModelFailure(kind, "", retry_after=retry_after)


@pytest.mark.parametrize(
    ("kind", "passes"),
    [
        (FailureKind.RATE_LIMITED, True),
        (FailureKind.OVERLOADED, True),
        (FailureKind.TIMEOUT, True),
        (FailureKind.UNREACHABLE, True),
        (FailureKind.BILLING, False),
        (FailureKind.AUTH, False),
        (FailureKind.CONTEXT_OVERFLOW, False),
        (FailureKind.FORMAT, False),
        (FailureKind.SPEND_CAP, False),
    ],
)
def test_only_what_passes_by_itself_is_tried_again(kind: FailureKind, passes: bool) -> None:
    assert (pause_before_retry(failure(kind), 1, 0.0, 0.5) is not None) is passes


def test_every_kind_of_failure_is_in_the_table_above() -> None:
    assert len(FailureKind) == 9


@pytest.mark.parametrize(
    ("tries", "elapsed", "jitter", "retry_after", "pause"),
    [
        (1, 0.0, 0.5, None, 1.0),
        (1, 0.0, 0.0, None, 0.75),
        (1, 0.0, 1.0, None, 1.25),
        (2, 0.0, 0.5, None, 2.0),
        (MOST_TRIES, 0.0, 0.5, None, None),
        # A provider's wish is a floor ...
        (1, 0.0, 0.5, 12.0, 12.0),
        (1, 0.0, 0.5, 0.1, 1.0),
        # ... as long as it is within what a person may be kept waiting.
        (1, 0.0, 0.5, BUDGET + 1, None),
        (2, BUDGET - 20, 0.5, 12.0, 12.0),
        (2, BUDGET - 10, 0.5, 12.0, None),
        (1, BUDGET, 0.5, None, None),
    ],
)
def test_how_long_to_wait(
    tries: int, elapsed: float, jitter: float, retry_after: float | None, pause: float | None
) -> None:
    limited = failure(FailureKind.RATE_LIMITED, retry_after)
    assert pause_before_retry(limited, tries, elapsed, jitter) == pause


@given(
    wishes=st.lists(st.none() | st.floats(0, 100), min_size=10, max_size=10),
    jitter=st.floats(0, 1),
    request=st.floats(0, 20),
)
def test_all_tries_together_keep_within_the_budget(
    wishes: list[float | None], jitter: float, request: float
) -> None:
    elapsed = waited = 0.0
    for tries, wish in enumerate(wishes, 1):
        elapsed += request
        pause = pause_before_retry(failure(FailureKind.OVERLOADED, wish), tries, elapsed, jitter)
        if pause is None:
            break
        assert pause >= (wish or 0.0)
        assert pause <= max(LONGEST_PAUSE * 1.25, wish or 0.0)
        elapsed, waited = elapsed + pause, waited + pause
    else:
        raise AssertionError("it would try for ever")
    assert waited <= BUDGET
