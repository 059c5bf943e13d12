"""What is remembered of the last days, as lists by day. Pure, and without a model: it changes no
word of what is worth knowing, and leaves out the rest."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import groupby

from opencraw.memory.items import Item

#: More would be the memories themselves, and no summary.
MOST_LISTED = 40
#: In characters, of one memory.
LONGEST_LINE = 240
_HORIZON = re.compile(r"([1-9][0-9]{0,3})([hdw])")
_HOURS = {"h": 1, "d": 24, "w": 7 * 24}


def since(horizon: str, now: datetime) -> datetime:
    """When a horizon such as "12h", "30d" or "6w" began. Raises `ValueError` for another text."""
    match = _HORIZON.fullmatch(horizon)
    if match is None:
        raise ValueError(f'{horizon[:40]!r} is no horizon; write "12h", "30d" or "6w"')
    return now - timedelta(hours=int(match[1]) * _HOURS[match[2]])


def by_day(items: Iterable[Item]) -> str:
    """The memories as lists, one for each day, the newest day first. Empty when there are none."""
    listed = sorted(items, key=lambda item: item.said_at, reverse=True)
    days = groupby(listed, key=lambda item: item.said_at.date())
    return "\n\n".join(
        "\n".join([day.isoformat(), *(f"- {one_line(item.text)}" for item in said)])
        for day, said in days
    )


def one_line(text: str) -> str:
    """A text as one line of a list, cut where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 1]}…"
