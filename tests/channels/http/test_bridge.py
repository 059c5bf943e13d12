"""What an answer of a bridge means, from values alone; and what makes settings good."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from channels.http.bridge import retry_after, verdict
from channels.http.settings import HttpSettings
from opencraw.errors import MaybeSent, NeverSendable, NotSent
from opencraw.outbox.attempts import Again, after_failure
from opencraw.settings import USUAL_ATTEMPTS

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("status", "means"),
    [
        (200, None), (204, None),
        (301, NeverSendable), (307, NeverSendable),
        (400, NeverSendable), (404, NeverSendable), (422, NeverSendable),
        (401, NotSent), (403, NotSent), (408, NotSent), (425, NotSent), (429, NotSent),
        (503, NotSent),
        (500, MaybeSent), (502, MaybeSent), (504, MaybeSent),
    ],
)  # fmt: skip
def test_a_status_says_what_became_of_a_message(status: int, means: type | None) -> None:
    failure = verdict(status, {}, NOW)
    assert (type(failure) if failure is not None else None) == means


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("3", 3.0), ("0.5", 0.5), (" 7 ", 7.0), ("0", 0.0), ("-5", 0.0),
        ("Fri, 15 Jan 2027 08:00:30 GMT", 30.0), ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
        ("99999999", 3600.0), ("Fri, 15 Jan 2100 08:00:00 GMT", 3600.0), ("1e99", 3600.0),
        ("", None), ("soon", None), ("nan", None),
    ],
)  # fmt: skip
def test_a_wish_to_wait_is_a_number_or_a_date(written: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": written}, NOW) == seconds
    failure = verdict(429, {"Retry-After": written}, NOW)
    assert isinstance(failure, NotSent)
    assert failure.retry_after == seconds


@pytest.mark.parametrize("written", ["0", "Fri, 15 Jan 2027 07:59:59 GMT"])
def test_a_bridge_that_says_it_is_back_already_has_a_quarter_of_an_hour_all_the_same(
    written: str,
) -> None:
    failure = verdict(503, {"Retry-After": written}, NOW)
    assert failure is not None
    pauses = 0.0
    for attempt in range(1, USUAL_ATTEMPTS):
        again = after_failure(failure, attempt, 0, idempotent=False)
        assert isinstance(again, Again)
        pauses += again.pause
    assert pauses > 840


SECRET = "sixteen characters and more"
GOOD = {"enabled": True, "secret": SECRET, "send_url": "https://bridge.example/"}


def test_a_bridge_needs_a_secret_and_an_address() -> None:
    assert HttpSettings.model_validate(GOOD).enabled
    assert not HttpSettings.model_validate({}).enabled


@pytest.mark.parametrize(
    "change",
    [
        {"secret": None},
        {"secret": ""},
        {"secret": "too short"},
        {"secret": " " * 40},
        {"send_url": ""},
        {"send_url": "ftp://bridge.example"},
        {"send_url": "https://"},
        {"send_url": "https://me:password@bridge.example"},
        {"poll_url": "bridge.example/poll"},
    ],
)
def test_a_section_that_would_let_anybody_speak_or_nobody_hear_is_refused(
    change: dict[str, object],
) -> None:
    with pytest.raises(ValidationError):
        HttpSettings.model_validate({**GOOD, **change})
