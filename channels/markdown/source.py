"""Markdown for platforms that read it themselves: it is only cut, and code that is cut is closed
and opened again."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
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
    text = _Text(markdown.strip("\n"))
    return [text.written(*place) for place in text.cuts(limit)]


def beginning(markdown: str, limit: int) -> tuple[str, str]:
    """Return as much of a text as one message of `limit` would hold, and the rest."""
    text = _Text(markdown)
    places = text.cuts(limit)
    first, second = next(places, None), next(places, None)
    head = text.written(*first) if first is not None else ""
    return head, text.written(second[0], len(markdown)) if second is not None else ""


class _Text:
    """A text, and where code is in it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._fenced = _fenced(text)
        self._starts = [block.start for block in self._fenced]

    def cuts(self, limit: int) -> Iterator[tuple[int, int]]:
        """Where its messages begin and end."""
        return cuts(self._text, limit, lambda start, end: len(self.written(start, end)))

    def written(self, start: int, end: int) -> str:
        """A piece of it, in which code is opened and closed."""
        opened, closed = self._within(start), self._within(end - 1)
        begin = f"{opened.opening}\n" if opened is not None else ""
        finish = f"\n{closed.closing}" if closed is not None and end < closed.end + 1 else ""
        return f"{begin}{self._text[start:end]}{finish}"

    def _within(self, place: int) -> _Fenced | None:
        found = bisect_right(self._starts, place) - 1
        return self._fenced[found] if found >= 0 and place < self._fenced[found].end else None


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
