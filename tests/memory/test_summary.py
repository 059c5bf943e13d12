from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from opencraw.memory.items import Item
from opencraw.memory.summary import by_day, since

NOW = datetime(2026, 5, 10, 12, tzinfo=UTC)


def an_item(text: str, said_at: datetime) -> Item:
    return Item(uuid4(), "scope", "fact", text, 0.5, said_at, NOW, None, None, None, None)


@pytest.mark.parametrize(
    ("horizon", "hours"), [("1h", 1), ("30d", 720), ("6w", 1_008), ("9999h", 9_999)]
)
def test_a_horizon_is_a_number_and_a_unit(horizon: str, hours: int) -> None:
    assert since(horizon, NOW) == NOW - timedelta(hours=hours)


@pytest.mark.parametrize("horizon", ["", "30", "d", "0d", "-1d", "1y", "10000d", "1d ", "٣d"])
def test_anything_else_is_no_horizon(horizon: str) -> None:
    with pytest.raises(ValueError, match="no horizon"):
        since(horizon, NOW)


def test_the_furthest_horizon_is_still_a_date() -> None:
    assert since("9999w", NOW).year < 1900


def test_memories_are_listed_by_day_the_newest_first() -> None:
    items = [
        an_item("older", NOW - timedelta(days=3)),
        an_item("newest\n- on two lines", NOW),
        an_item("new", NOW - timedelta(hours=1)),
        an_item("x" * 500, NOW - timedelta(days=3, hours=1)),
    ]
    newest, older = by_day(items).split("\n\n")
    assert newest.splitlines() == ["2026-05-10", "- newest - on two lines", "- new"]
    day, first, cut = older.splitlines()
    assert (day, first) == ("2026-05-07", "- older")
    assert cut.endswith("x…")
    assert len(cut) < 250


def test_nothing_said_is_an_empty_summary() -> None:
    assert by_day([]) == ""
