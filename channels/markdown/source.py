"""Markdown for platforms that read it themselves: it is only cut, and code that is cut is closed
and opened again."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

from channels.markdown.cutting import cuts

_FENCE = re.compile(
    r"^(?P<indent> {0,3}(?:> ?)*)(?P<sign>`{3,}|~{3,})(?P<info>[^`\n]*)$", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class _Fenced:
    """The inside of a fenced block: from the line after the one that opens it to the one that
    closes it."""

    start: int
    end: int
    opening: str
    closing: str


def markdown_parts(markdown: str, limit: int) -> list[str]:
    """Return the messages for a text, none longer than `limit`."""
    text = markdown.strip("\n")
    fenced = _fenced(text)
    starts = [block.start for block in fenced]

    def within(place: int) -> _Fenced | None:
        found = bisect_right(starts, place) - 1
        return fenced[found] if found >= 0 and place < fenced[found].end else None

    def written(start: int, end: int) -> str:
        opened, closed = within(start), within(end - 1)
        begin = f"{opened.opening}\n" if opened is not None else ""
        finish = f"\n{closed.closing}" if closed is not None and end < closed.end + 1 else ""
        return f"{begin}{text[start:end]}{finish}"

    def size(start: int, end: int) -> int:
        return len(written(start, end))

    return [written(*place) for place in cuts(text, limit, size)]


def _fenced(text: str) -> list[_Fenced]:
    found: list[_Fenced] = []
    opening: re.Match[str] | None = None
    for line in _FENCE.finditer(text):
        if opening is None:
            opening = line
        elif line["sign"].startswith(opening["sign"]) and not line["info"].strip():
            found.append(_between(opening, line.start()))
            opening = None
    if opening is not None:
        found.append(_between(opening, len(text)))
    return found


def _between(opening: re.Match[str], end: int) -> _Fenced:
    return _Fenced(
        opening.end() + 1, end, opening[0].rstrip(), f"{opening['indent']}{opening['sign']}"
    )
