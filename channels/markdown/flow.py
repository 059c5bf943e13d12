"""The tree as one text with marks beside it: what is counted, cut and written down.

Marks lie properly within each other. Code has no mark but its own, and quotes are not quoted again:
no platform shows that.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Literal

from channels.markdown.tree import (
    Block,
    Code,
    CodeBlock,
    Heading,
    Inline,
    Link,
    Listing,
    Paragraph,
    Quote,
    Style,
    Styled,
    Table,
    Text,
    words,
)

Kind = Style | Literal["heading", "code", "pre", "link", "quote"]

#: Wider tables are nobody's; their columns are not lined up.
_WIDEST_COLUMN = 40
_RULE = "———"
_CHECKED = (("[ ] ", "☐ "), ("[x] ", "☑ "), ("[X] ", "☑ "))


@dataclass(frozen=True, slots=True)
class Mark:
    """From `start` to `end` the text is something. `detail` is a link's address, the language of
    code, or the level of a heading."""

    start: int
    end: int
    kind: Kind
    detail: str = ""


@dataclass(frozen=True)
class Flow:
    """A text and its marks, outer ones first."""

    text: str
    marks: tuple[Mark, ...] = ()

    def piece(self, start: int, end: int) -> Flow:
        """A part of the text, with what its marks are there."""
        first = bisect_right(self._reach, start)
        behind = bisect_left(self._starts, end)
        inside = (
            Mark(max(mark.start, start) - start, min(mark.end, end) - start, mark.kind, mark.detail)
            for mark in self.marks[first:behind]
            if mark.end > start
        )
        return Flow(self.text[start:end], tuple(inside))

    @cached_property
    def _starts(self) -> list[int]:
        return [mark.start for mark in self.marks]

    @cached_property
    def _reach(self) -> list[int]:
        """How far the marks up to each one go."""
        return list(accumulate((mark.end for mark in self.marks), max))


@dataclass(frozen=True, slots=True)
class Manner:
    """What differs between dialects before anything is written down."""

    bullet: str
    #: Longer addresses stand in the text, so that they can be cut.
    longest_url: int
    #: Schemes that the platform makes a link of; other addresses stand in the text.
    schemes: tuple[str, ...] = ("http://", "https://")
    #: There is a mark for headings; or else they are bold.
    headings: bool = False
    #: Before each line of a quote, where there is no mark for it.
    quoted: str = ""


def flow(blocks: Sequence[Block], manner: Manner) -> Flow:
    """Return the tree as a text with marks."""
    writer = _Writer(manner)
    writer.blocks(blocks)
    # What lies within was written down first, and must come last among those that are as long.
    marks = sorted(_apart_from_code(writer.marks[::-1]), key=lambda mark: (mark.start, -mark.end))
    return Flow("".join(writer.text), tuple(marks))


class _Writer:
    def __init__(self, manner: Manner) -> None:
        self.text: list[str] = []
        self.marks: list[Mark] = []
        self._manner = manner
        self._length = 0
        self._quotes = 0
        self._links = 0
        self._styles: list[Style] = []

    def blocks(self, blocks: Iterable[Block], indent: str = "") -> None:
        """Write blocks, with an empty line between them where that is usual."""
        before: Block | None = None
        for block in blocks:
            if before is not None:
                self._newline(2 if _apart(before, block) else 1, indent)
            self._block(block, indent)
            before = block

    def _block(self, block: Block, indent: str) -> None:
        match block:
            case Paragraph(children):
                self._inlines(children, indent)
            case Heading(level, children):
                begin = self._length
                # A heading is bold already.
                self._styles.append("bold")
                self._inlines(children, indent)
                self._styles.pop()
                self._mark(begin, "heading" if self._manner.headings else "bold", str(level))
            case CodeBlock(text, language):
                self._code_block(text, language)
            case Quote(blocks):
                self._quote(blocks, indent)
            case Listing():
                self._listing(block, indent)
            case Table(rows, alignments):
                self._code_block(_drawn(rows, alignments), "")
            case _:
                self._write(_RULE)

    def _quote(self, blocks: Sequence[Block], indent: str) -> None:
        begin = self._length
        self._quotes += 1
        if self._quotes > 1:
            self.blocks(blocks, indent)
        elif self._manner.quoted:
            self._write(self._manner.quoted)
            self.blocks(blocks, indent + self._manner.quoted)
        else:
            self.blocks(blocks, indent)
            self._mark(begin, "quote")
        self._quotes -= 1

    def _listing(self, listing: Listing, indent: str) -> None:
        for number, item in enumerate(listing.items):
            if number:
                self._newline(1 if listing.tight else 2, indent)
            bullet = self._manner.bullet
            if listing.start is not None:
                bullet = f"{listing.start + number}. "
            self._write(bullet)
            self.blocks(item, indent + " " * len(bullet))

    def _code_block(self, text: str, language: str) -> None:
        begin = self._length
        # A block of nothing is shown all the same.
        self._write(text if text.strip() else text or " ")
        self._mark(begin, "pre", language)

    def _inlines(self, children: Sequence[Inline], indent: str) -> None:
        for child in children:
            begin = self._length
            match child:
                case Text(text):
                    self._words(text, indent)
                case Code(text):
                    self._write(text)
                    # Where a link leads matters more than that its name is code.
                    if not self._links:
                        self._mark(begin, "code")
                case Styled(style, inner):
                    self._styled(style, inner, indent)
                case Link():
                    self._link(child, indent)

    def _styled(self, style: Style, inner: Sequence[Inline], indent: str) -> None:
        begin, twice = self._length, style in self._styles
        self._styles.append(style)
        self._inlines(inner, indent)
        self._styles.pop()
        if not twice:
            self._mark(begin, style)

    def _words(self, text: str, indent: str) -> None:
        if not self.text or self.text[-1].endswith(self._manner.bullet):
            for written, shown in _CHECKED:
                if text.startswith(written):
                    text = shown + text[len(written) :]
        self._write(text.replace("\n", f"\n{indent}"))

    def _link(self, link: Link, indent: str) -> None:
        begin = self._length
        name = words(link.children)
        known = link.url.lower().startswith(self._manner.schemes)
        if not name.strip():
            self._write(link.url)
        else:
            self._links += 1
            self._inlines(link.children, indent)
            self._links -= 1
        if known and len(link.url) <= self._manner.longest_url:
            self._mark(begin, "link", link.url)
        elif name.strip() and name not in (link.url, link.url.removeprefix("mailto:")):
            self._write(f" ({link.url})")

    def _newline(self, count: int, indent: str) -> None:
        if count > 1:
            self._write(f"\n{indent}".rstrip(" "))
        self._write(f"\n{indent}")

    def _write(self, text: str) -> None:
        if text:
            self.text.append(text)
            self._length += len(text)

    def _mark(self, begin: int, kind: Kind, detail: str = "") -> None:
        if self._length > begin:
            self.marks.append(Mark(begin, self._length, kind, detail))


def _apart(before: Block, block: Block) -> bool:
    """Whether an empty line stands between two neighbours."""
    return not (isinstance(before, Paragraph) and before.tight) and not (
        isinstance(block, Paragraph) and block.tight
    )


def _apart_from_code(marks: Sequence[Mark]) -> Iterable[Mark]:
    """Take other marks off code, which may only be quoted, or be part of a heading."""
    code = sorted(
        (mark for mark in marks if mark.kind in ("code", "pre")), key=lambda mark: mark.start
    )
    starts = [mark.start for mark in code]
    for mark in marks:
        if mark.kind in ("code", "pre", "quote", "heading"):
            yield mark
            continue
        begin = mark.start
        for hole in code[bisect_left(starts, mark.start) : bisect_left(starts, mark.end)]:
            if hole.start > begin:
                yield Mark(begin, hole.start, mark.kind, mark.detail)
            begin = hole.end
        if begin < mark.end:
            yield Mark(begin, mark.end, mark.kind, mark.detail)


def _drawn(rows: Sequence[Sequence[Sequence[Inline]]], alignments: Sequence[str]) -> str:
    """A table in characters of one width."""
    cells = [[" ".join(words(tuple(cell)).split()) for cell in row] for row in rows]
    widths = [
        min(max(len(row[column]) if column < len(row) else 0 for row in cells), _WIDEST_COLUMN)
        for column in range(len(alignments))
    ]
    lines = [_row(row, widths, alignments) for row in cells]
    lines.insert(1, "-+-".join("-" * width for width in widths))
    return "\n".join(lines)


def _row(cells: Sequence[str], widths: Sequence[int], alignments: Sequence[str]) -> str:
    fill = {"right": str.rjust, "center": str.center}
    aligned = (
        fill.get(alignment, str.ljust)(cell, width)
        for cell, width, alignment in zip(cells, widths, alignments, strict=False)
    )
    return " | ".join(aligned).rstrip()
