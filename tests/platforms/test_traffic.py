from __future__ import annotations

from opencraw.platforms.traffic import MOST_HAPPENINGS, MOST_REFUSALS, Traffic
from opencraw.telemetry.redaction import Redactor


def told(traffic: Traffic) -> list[tuple[str, str]]:
    return [(each.kind, each.text) for each in traffic.happenings()]


def test_of_what_happened_only_the_newest_is_remembered() -> None:
    traffic = Traffic(Redactor())
    for number in range(MOST_HAPPENINGS + 5):
        traffic.note("warning", f"{number}")
    assert len(traffic.happenings()) == MOST_HAPPENINGS
    assert [each.text for each in traffic.happenings(1)] == [str(MOST_HAPPENINGS + 4)]


def test_each_who_and_where_that_was_refused_is_told_once() -> None:
    traffic = Traffic(Redactor(["sesame-open-123"]))
    for number in (1, 2, 1, 3, 1):
        traffic.refused("group_not_listed", f"chat -{number}, sender sesame-open-123")
    traffic.refused("sender_not_listed", "chat 3, sender 3")
    assert told(traffic) == [
        ("refused", "group_not_listed: chat -2, sender REDACTED"),
        ("refused", "group_not_listed: chat -3, sender REDACTED"),
        ("refused", "group_not_listed: chat -1, sender REDACTED"),
        ("refused", "sender_not_listed: chat 3, sender 3"),
    ], "as of the last time"
    assert traffic.counts["refused"] == {"group_not_listed": 5, "sender_not_listed": 1}


def test_what_is_refused_all_day_leaves_room_for_what_matters() -> None:
    traffic = Traffic(Redactor())
    traffic.note("state", "refused: the token was revoked")
    for number in range(MOST_HAPPENINGS * 10):
        traffic.refused("not_addressed", f"sender {number}")
    happened = told(traffic)
    assert happened[0] == ("state", "refused: the token was revoked")
    assert len(happened) == 1 + MOST_REFUSALS < MOST_HAPPENINGS
    assert happened[-1] == ("refused", f"not_addressed: sender {MOST_HAPPENINGS * 10 - 1}")
    assert traffic.counts["refused"] == {"not_addressed": MOST_HAPPENINGS * 10}


def test_an_outage_does_not_push_out_what_matters() -> None:
    traffic = Traffic(Redactor())
    traffic.note("state", "refused: the token was revoked")
    for _ in range(10):
        for attempt in range(1, 21):
            traffic.failed("the platform cannot be reached", first=attempt == 1)
        traffic.dead("not sent in 20 attempts")
    assert told(traffic) == [
        ("state", "refused: the token was revoked"),
        *[
            ("error", "a delivery failed: the platform cannot be reached"),
            ("error", "a delivery is dead: not sent in 20 attempts"),
        ]
        * 10,
    ]
    assert traffic.counts["failed"] == 200
