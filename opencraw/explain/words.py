"""Ids, durations and counts as sentences say them."""

from __future__ import annotations

from uuid import UUID

#: Ids are shown, and taken, by their beginning.
SHORT = 8


def short(name: UUID) -> str:
    """An id as people see it; `opencraw explain` takes it like this."""
    return str(name)[:SHORT]


def span(seconds: float) -> str:
    """About how long: `0.4 s`, `40 s`, `3 min`, `2 h`."""
    seconds = max(0.0, seconds)
    if seconds < 10:
        return f"{seconds:.1f} s"
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def plural(count: int, noun: str) -> str:
    return f"1 {noun}" if count == 1 else f"{count:,} {noun}s"
