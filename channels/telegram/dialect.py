"""Telegram's dialect: a plain text, and entities that say what is what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from channels.markdown.cutting import cuts, visible
from channels.markdown.flow import Flow, Kind, Manner, Mark, flow
from channels.markdown.parsing import parse
from opencraw.events import utf16_length

#: More are ignored by the platform.
MOST_ENTITIES = 100

EntityType = Literal[
    "bold",
    "italic",
    "underline",
    "strikethrough",
    "spoiler",
    "code",
    "pre",
    "text_link",
    "blockquote",
]

_MANNER = Manner(bullet="• ", longest_url=2000, schemes=("http://", "https://", "tg://"))
_TYPES: dict[Kind, EntityType] = {
    "bold": "bold",
    "italic": "italic",
    "underline": "underline",
    "strikethrough": "strikethrough",
    "spoiler": "spoiler",
    "code": "code",
    "pre": "pre",
    "link": "text_link",
    "quote": "blockquote",
}
#: Without these a text loses its sense; the others are looks.
_NEEDED: frozenset[Kind] = frozenset({"link", "pre", "spoiler"})


class Entity(msgspec.Struct, frozen=True):
    """What a stretch of a text is; places are counted in UTF-16 code units."""

    type: EntityType
    offset: int
    length: int
    #: Of a text_link.
    url: str = ""
    #: Of a pre.
    language: str = ""


class Formatted(msgspec.Struct, frozen=True):
    """A text with its formatting beside it."""

    text: str
    entities: tuple[Entity, ...] = ()

    def behind(self, words: str) -> Formatted:
        """The same behind other words, which are not formatted."""
        shift = utf16_length(words)
        moved = (
            msgspec.structs.replace(entity, offset=entity.offset + shift)
            for entity in self.entities
        )
        return Formatted(words + self.text, tuple(moved))


def telegram_parts(markdown: str, limit: int = 4096) -> list[Formatted]:
    """Return the messages for a text, none longer than `limit`; none for a text without anything to
    see."""
    whole = flow(parse(markdown), _MANNER)
    if not visible(whole.text):
        whole = Flow(markdown.strip())

    def size(start: int, end: int) -> int:
        needed = sum(mark.kind in _NEEDED for mark in whole.piece(start, end).marks)
        return utf16_length(whole.text[start:end]) if needed <= MOST_ENTITIES else limit + 1

    return [_formatted(whole.piece(*place)) for place in cuts(whole.text, limit, size)]


def _formatted(piece: Flow) -> Formatted:
    marks = [mark for mark in piece.marks if mark.kind in _NEEDED]
    room = MOST_ENTITIES - len(marks)
    marks += [mark for mark in piece.marks if mark.kind not in _NEEDED][: max(room, 0)]
    marks.sort(key=piece.marks.index)
    return Formatted(piece.text, tuple(_entities(piece.text, marks)))


def _entities(text: str, marks: list[Mark]) -> Iterator[Entity]:
    for mark in marks:
        start, end = mark.start, mark.end
        while start < end and text[start].isspace() and mark.kind != "pre":
            start += 1
        while start < end and text[end - 1].isspace():
            end -= 1
        if start == end or (mark.kind == "link" and text[start:end] == mark.detail):
            continue  # the platform makes links of addresses by itself
        yield Entity(
            _TYPES[mark.kind],
            utf16_length(text[:start]),
            utf16_length(text[start:end]),
            url=mark.detail if mark.kind == "link" else "",
            language=mark.detail if mark.kind == "pre" else "",
        )
