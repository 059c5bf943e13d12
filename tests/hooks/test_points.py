from __future__ import annotations

from typing import get_args

import pytest

from opencraw.hooks import Denied, Go, Point, Verdict, hook
from opencraw.hooks.points import ASKED, LONGEST_REASON, AnswerInvalid, PointName, checked


def test_the_configuration_knows_every_point() -> None:
    assert set(get_args(PointName)) == set(Point)
    assert len(Point) == 10


@pytest.mark.parametrize("point", Point)
def test_who_has_no_objection_says_nothing(point: Point) -> None:
    assert checked(point, None) == Go({})
    assert checked(point, Go({})) == Go({})


@pytest.mark.parametrize("point", [point for point in Point if point not in ASKED])
@pytest.mark.parametrize("answer", [Denied("no"), Go({"text": "b"})])
def test_who_only_looks_on_decides_nothing(point: Point, answer: Verdict) -> None:
    with pytest.raises(AnswerInvalid, match="only look on"):
        checked(point, answer)


@pytest.mark.parametrize("point", ASKED)
def test_who_is_asked_may_deny(point: Point) -> None:
    assert checked(point, Denied(" not\x00 now ")) == Denied("not\ufffd now")
    long = checked(point, Denied("a" * 10_000))
    assert isinstance(long, Denied)
    assert len(long.reason) == LONGEST_REASON


@pytest.mark.parametrize(
    ("point", "changes"),
    [
        (Point.BEFORE_TOOL_CALL, {"arguments": {"path": "a", "deep": [1, {"b": None}]}}),
        (Point.BEFORE_TOOL_CALL, {"arguments": {}}),
        (Point.MESSAGE_SENDING, {"text": "b"}),
    ],
)
def test_what_may_be_changed_is(point: Point, changes: dict[str, object]) -> None:
    assert checked(point, Go(changes)) == Go(changes)


_circle: list[object] = []
_circle.append(_circle)


@pytest.mark.parametrize(
    ("point", "answer"),
    [
        (Point.MESSAGE_RECEIVED, Go({"text": "b"})),
        (Point.BEFORE_TOOL_CALL, Go({"tool": "shell"})),
        (Point.BEFORE_TOOL_CALL, Go({"arguments": {}, "risk": "read"})),
        (Point.BEFORE_TOOL_CALL, Go({"arguments": None})),
        (Point.BEFORE_TOOL_CALL, Go({"arguments": "{}"})),
        (Point.BEFORE_TOOL_CALL, Go({"arguments": ["a"]})),
        (Point.BEFORE_TOOL_CALL, Go({"arguments": {"a": object()}})),
        (Point.BEFORE_TOOL_CALL, Go({"arguments": {"a": "\ud800"}})),
        (Point.BEFORE_TOOL_CALL, Go({"arguments": {"a": _circle}})),
        (Point.MESSAGE_SENDING, Go({"text": ""})),
        (Point.MESSAGE_SENDING, Go({"text": 5})),
        (Point.MESSAGE_SENDING, Go({"chat": "b", "text": "b"})),
        (Point.MESSAGE_SENDING, Denied("  ")),
        (Point.MESSAGE_SENDING, Denied(5)),  # type: ignore[arg-type]
        (Point.MESSAGE_SENDING, True),
        (Point.MESSAGE_SENDING, "no"),
        (Point.MESSAGE_SENDING, {"deny": "no"}),
        (Point.MESSAGE_SENDING, Go([("text", "b")])),  # type: ignore[arg-type]
    ],
    ids=lambda value: None if isinstance(value, Point) else repr(value)[:40],
)
def test_nonsense_is_refused(point: Point, answer: object) -> None:
    with pytest.raises(AnswerInvalid):
        checked(point, answer)


def test_what_was_changed_is_nobody_elses_to_alter() -> None:
    mine = {"path": "a"}
    verdict = checked(Point.BEFORE_TOOL_CALL, Go({"arguments": mine}))
    mine["path"] = "/etc/shadow"
    assert verdict == Go({"arguments": {"path": "a"}})


def test_a_function_becomes_a_hook() -> None:
    @hook(Point.TURN_STARTED, Point.TURN_ENDED, timeout_seconds=2.0)
    async def watch(point: Point, facts: object) -> None:
        """Look on."""

    assert watch.points == {Point.TURN_STARTED, Point.TURN_ENDED}
    assert watch.timeout_seconds == 2.0
    assert not watch.denies_when_failing(Point.TURN_STARTED)


def test_a_tool_call_that_nobody_could_check_does_not_happen_unless_somebody_chose_otherwise() -> (
    None
):
    async def check(point: Point, facts: object) -> None:
        """Have no objection."""

    everywhere = hook(*Point)(check)
    assert [point for point in Point if everywhere.denies_when_failing(point)] == [
        Point.BEFORE_TOOL_CALL
    ]
    assert hook(*Point, on_failure="deny")(check).denies_when_failing(Point.MESSAGE_SENDING)
    lenient = hook(*Point, on_failure="continue")(check)
    assert not lenient.denies_when_failing(Point.BEFORE_TOOL_CALL)
