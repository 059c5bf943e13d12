from __future__ import annotations

from opencraw.telemetry.seldom import Seldom


def test_ten_lines_a_second_are_told_and_the_rest_is_counted() -> None:
    now = 100.0
    lines = Seldom(lambda: now)
    assert [lines.may_be_told() for _ in range(25)] == [True] * 10 + [False] * 15
    now = 101.0
    assert lines.may_be_told()
    assert lines.untold() == " (15 more like this were not logged)"
    assert lines.untold() == ""
