from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opencraw.tools.builtin import calculate, current_time
from opencraw.tools.registry import ArgumentsInvalid
from tests.fixtures.askers import SOMEBODY


async def value(expression: str) -> str:
    return await calculate.run(json.dumps({"expression": expression}), SOMEBODY)


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("6*7", "42"),
        (" 1 + 2 * 3 ", "7"),
        ("(1 + 2) * 3", "9"),
        ("-2 ** 2", "-4"),
        ("7 // 2", "3"),
        ("7 % 4", "3"),
        ("7 / 2", "3.5"),
        ("0.1 + 0.2", "0.3"),
        ("2 ** 100", "1267650600228229401496703205376"),
        ("+5", "5"),
        ("2 ** -1", "0.5"),
        ("0 ** 5000", "0"),
        ("1e3", "1000"),
        ("1+" * 249 + "1", "250"),
        ("-" * 499 + "1", "-1"),
    ],
)
async def test_arithmetic(expression: str, result: str) -> None:
    assert await value(expression) == result


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "six times seven",
        "1 +",
        "1; 2",
        "x",
        "__import__('os').system('true')",
        "(lambda: 1)()",
        "[1][0]",
        "'a' * 3",
        "1 if True else 2",
        "True",
        "1 < 2",
        "~5",
        "1j",
        "(" * 300 + ")" * 300,
        "1+" * 250 + "1",
        "nan",
        "1\x00",
    ],
)
async def test_what_is_no_arithmetic_is_refused_at_once(expression: str) -> None:
    with pytest.raises(ArgumentsInvalid):
        await value(expression)


numbers = st.integers(0, 99) | st.floats(0, 99).map(lambda number: round(number, 2))
expressions = st.recursive(
    numbers.map(str),
    lambda inner: st.builds(
        "({} {} {})".format,
        inner,
        st.sampled_from(["+", "-", "*", "/", "//", "%", "**"]),
        inner,
    ),
    max_leaves=8,
)


@given(expression=expressions | st.text(max_size=40))
@settings(max_examples=150, deadline=None)
async def test_anything_has_a_value_or_is_refused_and_never_hangs(expression: str) -> None:
    try:
        result = await value(expression)
    except (ArgumentsInvalid, ValueError):
        return
    assert math.isfinite(float(result))


async def test_the_time_somewhere() -> None:
    assert "UTC" in await current_time.run('{"timezone": "UTC"}', SOMEBODY)
    assert await current_time.run("{}", SOMEBODY)
    assert await current_time.run('{"timezone": "Europe/Berlin"}', SOMEBODY)


@pytest.mark.parametrize(
    "zone", ["Mars/Olympus", "../../etc/passwd", "/etc/passwd", "a" * 5_000, "\\u0000"]
)
async def test_an_unknown_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(ArgumentsInvalid):
        await current_time.run(f'{{"timezone": "{zone}"}}', SOMEBODY)


@pytest.mark.parametrize(
    "expression",
    ["(-8) ** 0.5", "1 / 0", "0 ** -1", "9 ** 9 ** 9", "10 ** 101", "1e200 * 1e200"],
)
async def test_what_has_no_value_is_told_so(expression: str) -> None:
    with pytest.raises(ValueError, match="has no value"):
        await value(expression)
