from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from opencraw.sessions.reset import Kind, Policy, ResetRules, ended_by
from opencraw.sessions.settings import Reset, SessionsSettings
from opencraw.sessions.zones import find_zone

BERLIN = ZoneInfo("Europe/Berlin")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def expired(
    policy: Policy, begun_at: datetime, last_said_at: datetime, now: datetime, zone: tzinfo
) -> bool:
    return ended_by(policy, begun_at, last_said_at, now, zone) is not None


def berlin(text: str, *, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold)


@pytest.mark.parametrize(
    ("begun", "now", "over"),
    [
        ("2026-06-10 09:00", "2026-06-10 23:59", False),
        ("2026-06-10 09:00", "2026-06-11 03:59", False),
        ("2026-06-10 09:00", "2026-06-11 04:00", True),
        ("2026-06-11 04:00", "2026-06-11 04:00", False),
        ("2026-06-11 03:59", "2026-06-11 04:01", True),
        ("2026-06-11 03:00", "2026-06-11 03:30", False),
        ("2026-06-01 09:00", "2026-06-11 03:00", True),
    ],
)
def test_a_day_ends_at_its_hour(begun: str, now: str, over: bool) -> None:
    policy = Policy("daily", at_hour=4)
    assert expired(policy, berlin(begun), LONG_AGO, berlin(now), BERLIN) is over


@pytest.mark.parametrize(
    ("hour", "begun", "now", "over"),
    [
        # On 29 March 2026 the clock goes from 02:00 to 03:00.
        (2, berlin("2026-03-29 01:30"), berlin("2026-03-29 01:59"), False),
        (2, berlin("2026-03-29 01:30"), berlin("2026-03-29 03:00"), True),
        (2, berlin("2026-03-29 03:00"), berlin("2026-03-29 23:00"), False),
        (3, berlin("2026-03-29 01:30"), berlin("2026-03-29 03:00"), True),
        (4, berlin("2026-03-29 03:30"), berlin("2026-03-29 03:59"), False),
        (4, berlin("2026-03-28 04:00"), berlin("2026-03-29 03:59"), False),
        # On 25 October 2026 it goes from 03:00 back to 02:00.
        (2, berlin("2026-10-25 01:30"), berlin("2026-10-25 02:00"), True),
        (2, berlin("2026-10-25 02:00"), berlin("2026-10-25 02:59"), False),
        (2, berlin("2026-10-25 02:30"), berlin("2026-10-25 02:00", fold=1), False),
        (2, berlin("2026-10-25 02:30"), berlin("2026-10-25 02:45", fold=1), False),
        (3, berlin("2026-10-25 02:30", fold=1), berlin("2026-10-25 03:00"), True),
        (4, berlin("2026-10-25 02:30", fold=1), berlin("2026-10-25 03:59"), False),
    ],
)
def test_a_day_ends_once_when_the_clock_is_changed(
    hour: int, begun: datetime, now: datetime, over: bool
) -> None:
    assert expired(Policy("daily", at_hour=hour), begun, LONG_AGO, now, BERLIN) is over


_ZONES = st.sampled_from(
    ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Kathmandu",
     "America/Santiago", "Pacific/Apia", "UTC"]
)  # fmt: skip
_MOMENTS = st.integers(0, 19 * 365 * 24 * 4).map(
    lambda quarters: datetime(2011, 1, 1, tzinfo=UTC) + timedelta(minutes=15 * quarters)
)


@given(_ZONES, _MOMENTS, st.integers(0, 23))
def test_no_day_is_longer_than_two_or_ends_twice(zone: str, now: datetime, hour: int) -> None:
    policy, clock = Policy("daily", at_hour=hour), ZoneInfo(zone)
    assert not expired(policy, now, LONG_AGO, now, clock)
    # Samoa left out a whole day when it changed sides.
    assert expired(policy, now - timedelta(hours=49), LONG_AGO, now, clock)
    # What began before an end is over, and stays so; what began after it is not until the next.
    ends = [
        moment
        for minutes in range(0, 50 * 60, 15)
        if expired(policy, now, LONG_AGO, moment := now + timedelta(minutes=minutes), clock)
    ]
    assert ends
    assert all(
        not expired(policy, ends[0], LONG_AGO, ends[0] + timedelta(hours=hours), clock)
        for hours in (0, 1, 22)
    )


@pytest.mark.parametrize(
    ("begun", "said", "over"),
    [
        ("2026-06-10 06:00", "2026-06-10 11:01", False),
        ("2026-06-10 06:00", "2026-06-10 11:00", True),
        # A timer's turn began it anew: nobody has said anything in it yet.
        ("2026-06-10 11:30", "2026-06-10 06:00", False),
        ("2026-06-10 11:00", "2026-06-10 06:00", True),
    ],
)
def test_silence_ends_a_conversation(begun: str, said: str, over: bool) -> None:
    policy = Policy("idle", idle=timedelta(minutes=60))
    noon = berlin("2026-06-10 12:00")
    assert expired(policy, berlin(begun), berlin(said), noon, BERLIN) is over


@pytest.mark.parametrize(
    ("reset", "begun", "said", "over"),
    [
        ("none", LONG_AGO, LONG_AGO, False),
        ("daily_or_idle", "2026-06-09 12:00", "2026-06-10 11:59", True),
        ("daily_or_idle", "2026-06-10 05:00", "2026-06-10 05:00", True),
        ("daily_or_idle", "2026-06-10 05:00", "2026-06-10 11:59", False),
        ("daily", "2026-06-10 05:00", "2026-06-10 05:00", False),
        ("idle", "2026-06-09 12:00", "2026-06-10 11:59", False),
    ],
)
def test_whichever_comes_first(
    reset: Reset, begun: datetime | str, said: datetime | str, over: bool
) -> None:
    begun_at = berlin(begun) if isinstance(begun, str) else begun
    said_at = berlin(said) if isinstance(said, str) else said
    assert expired(Policy(reset), begun_at, said_at, berlin("2026-06-10 12:00"), BERLIN) is over


RULES = ResetRules(
    SessionsSettings.model_validate(
        {
            "reset": "daily",
            "reset_at_hour": 5,
            "reset_idle_minutes": 30.0,
            "time_zone": "Europe/Berlin",
            "reset_by_type": {
                "group": {"reset": "idle", "idle_minutes": 120.0},
                "channel": {"at_hour": 7},
                "thread": {"reset": "none"},
            },
            "reset_by_channel": {"email": {"reset": "daily_or_idle", "at_hour": 0}},
        }
    )
)


@pytest.mark.parametrize(
    ("kind", "policy"),
    [
        (Kind("webchat", "direct", is_thread=False), Policy("daily", 5, timedelta(minutes=30))),
        (Kind("webchat", None, is_thread=False), Policy("daily", 5, timedelta(minutes=30))),
        (Kind("x", "group", is_thread=False), Policy("idle", 5, timedelta(minutes=120))),
        (Kind("x", "group", is_thread=True), Policy("none", 5, timedelta(minutes=30))),
        (Kind("x", "channel", is_thread=False), Policy("daily", 7, timedelta(minutes=30))),
        (Kind("email", "group", is_thread=True),
         Policy("daily_or_idle", 0, timedelta(minutes=30))),
    ],
)  # fmt: skip
def test_a_rule_of_the_channel_wins_over_one_of_the_type(kind: Kind, policy: Policy) -> None:
    assert RULES.of(kind) == policy


def test_a_conversation_has_its_own_clock_or_the_configured_one() -> None:
    assert RULES.zone("Asia/Tokyo") == ZoneInfo("Asia/Tokyo")
    assert RULES.zone(None) == BERLIN
    assert RULES.zone("Nowhere/Land") == BERLIN, "a zone that this machine no longer knows"


def test_nothing_begins_anew_unless_somebody_says_so() -> None:
    assert ResetRules().of(Kind("x", "direct", is_thread=False)).reset == "none"


@pytest.mark.parametrize(
    ("wanted", "zone"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("america/new york", "America/New_York"),
        ("utc", "UTC"),
        ("Europe", None),
        ("", None),
        ("../../etc/passwd", None),
        ("/etc/localtime", None),
        ("Europe/Ber\0lin", None),
        ("x" * 500, None),
    ],
)
def test_a_time_zone_is_found_by_what_people_write(wanted: str, zone: str | None) -> None:
    assert find_zone(wanted) == zone


@pytest.mark.parametrize(
    "wrong",
    [{"time_zone": "Middle/Earth"}, {"reset": "weekly"}, {"reset_at_hour": 24},
     {"reset_idle_minutes": 0.0}, {"reset_by_type": {"crowd": {"reset": "none"}}},
     {"reset_by_channel": {"x": {"hour": 4}}}],
)  # fmt: skip
def test_a_section_that_means_nothing_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SessionsSettings.model_validate(wrong)
