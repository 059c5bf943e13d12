"""Decision records are found, and say what a record has to say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PLANS = Path(__file__).parents[2] / "plans"
RECORDS = sorted(PLANS.glob("0*.md"))
PARTS = ["Decision", "Why", "Not taken", "Price", "Look again when"]


def test_the_list_names_every_record_once_and_in_order() -> None:
    listed = re.findall(r"^\* \[\d+\. [^]]+\]\(([^)]+)\)$", _text("README.md"), re.MULTILINE)
    assert listed == [path.name for path in RECORDS]
    assert [int(name[:4]) for name in listed] == [*range(1, len(listed) + 1)]


@pytest.mark.parametrize("record", [path.name for path in RECORDS])
def test_a_record_has_its_parts_in_order(record: str) -> None:
    parts = re.findall(r"^(?:\d\. \*\*|## )([A-Z][a-z ]+)", _text(record), re.MULTILINE)
    assert parts == PARTS


@pytest.mark.parametrize("page", [path.name for path in PLANS.glob("*.md")])
def test_what_a_page_points_to_is_there(page: str) -> None:
    pointed = re.findall(r"\]\(([^):#]+\.md)\)", _text(page))
    assert [name for name in pointed if not (PLANS / name).exists()] == []


def _text(name: str) -> str:
    return (PLANS / name).read_text(encoding="utf-8")
