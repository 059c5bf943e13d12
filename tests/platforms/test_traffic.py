from __future__ import annotations

from opencraw.platforms.traffic import MOST_HAPPENINGS, Traffic
from opencraw.telemetry.redaction import Redactor


def test_what_was_refused_is_told_with_whom_and_where() -> None:
    traffic = Traffic(Redactor())
    for number in range(1, 11):
        traffic.refused("group_not_listed", f"chat -{number}, sender {number}")
    assert [each.text for each in traffic.happenings()] == [
        "group_not_listed: chat -1, sender 1",
        "group_not_listed: chat -10, sender 10; 10 times by now",
    ]


def test_what_is_refused_all_day_leaves_room_for_what_matters() -> None:
    traffic = Traffic(Redactor())
    traffic.note("state", "refused: the token was revoked")
    for _ in range(MOST_HAPPENINGS * 10):
        traffic.refused("not_addressed")
    happened = [(each.kind, each.text) for each in traffic.happenings()]
    assert happened == [
        ("state", "refused: the token was revoked"),
        ("refused", "not_addressed"),
        ("refused", "not_addressed; 10 times by now"),
        ("refused", "not_addressed; 100 times by now"),
        ("refused", "not_addressed; 1,000 times by now"),
    ]
    assert traffic.counts["refused"] == {"not_addressed": MOST_HAPPENINGS * 10}
