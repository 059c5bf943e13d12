"""docs/faults.md promises that each fault has a test. This holds it to that."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (F\d\d) \|(.*)\|$", re.MULTILINE)
TEST = re.compile(r"`([\w/]+\.py)::(test_\w+)`")
#: The faults that concern store, queue, workers, outbox or bus.
OURS = {
    *range(1, 13), *range(15, 30), *range(33, 37), *range(38, 43), *range(45, 48), *range(50, 53),
    56, 57, 61, 62,
}  # fmt: skip


def test_every_fault_in_the_table_names_its_test() -> None:
    without = [number for number, rest in ROW.findall(PAGE) if not TEST.search(rest)]
    assert without == []


def test_every_test_that_the_table_names_exists() -> None:
    missing = [
        f"{file}::{name}"
        for file, name in TEST.findall(PAGE)
        if not (path := ROOT / "tests" / file).exists()
        or not re.search(rf"^(?:async )?def {name}\(", path.read_text(encoding="utf-8"), re.M)
    ]
    assert missing == []


def test_every_fault_of_ours_is_in_the_table_or_among_those_that_no_test_shows() -> None:
    shown = [number for number, _ in ROW.findall(PAGE)]
    not_yet = re.findall(r"\bF\d\d\b", PAGE.partition("## What no test shows yet")[2])
    assert len(shown) == len(set(shown)), "a fault has one line"
    assert {f"F{number:02}" for number in OURS} <= {*shown, *not_yet}
