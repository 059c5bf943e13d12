"""How people write what a conversation's queue does: `collect debounce:0.5s cap:25`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, get_args

from opencraw.queue.rules import LaneRules
from opencraw.settings import LARGEST_CAP, LONGEST_DEBOUNCE_MS, DebounceWindow, Drop, Mode


def read(word: str) -> dict[str, Any] | None:
    """What one word chooses, by the names of `LaneRules`; None is not understood."""
    name, colon, value = word.rpartition(":")
    choose = _WORDS.get(name) if name or not colon else None
    return choose(value) if choose is not None else None


def spoken(rules: LaneRules) -> str:
    """The same for the eye."""
    return (
        f"{rules.mode}, debounce {rules.debounce_ms} ms ({rules.debounce_window}), "
        f"cap {rules.cap}, drop {rules.drop}"
    )


def _one_of(field: str, words: Sequence[str]) -> Callable[[str], dict[str, Any] | None]:
    return lambda value: {field: value} if value in words else None


def _debounce(value: str) -> dict[str, Any] | None:
    milliseconds = _milliseconds(value)
    return None if milliseconds is None else {"debounce_ms": milliseconds}


def _cap(value: str) -> dict[str, Any] | None:
    # isdigit alone would let digits of other scripts through.
    is_number = value.isascii() and value.isdigit() and len(value) <= 4
    return {"cap": int(value)} if is_number and 0 < int(value) <= LARGEST_CAP else None


#: What stands before the colon, and how to read what stands behind it.
_WORDS: dict[str, Callable[[str], dict[str, Any] | None]] = {
    "": _one_of("mode", get_args(Mode)),
    "debounce": _debounce,
    "window": _one_of("debounce_window", get_args(DebounceWindow)),
    "cap": _cap,
    "drop": _one_of("drop", get_args(Drop)),
}


def _milliseconds(text: str) -> int | None:
    for suffix, factor in (("ms", 1.0), ("s", 1000.0)):
        number = text.removesuffix(suffix)
        if number != text:
            try:
                value = float(number) * factor
            except ValueError:
                return None
            return int(value) if 0 <= value <= LONGEST_DEBOUNCE_MS else None
    return None
