"""A text as a tree: what every dialect writes down in its own way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Style = Literal["bold", "italic", "underline", "strikethrough", "spoiler"]


@dataclass(frozen=True, slots=True)
class Text:
    """Words; a line break is a newline."""

    text: str


@dataclass(frozen=True, slots=True)
class Code:
    """Code within a line."""

    text: str


@dataclass(frozen=True, slots=True)
class Styled:
    """Words that look different."""

    style: Style
    children: tuple[Inline, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """Words that lead somewhere."""

    url: str
    children: tuple[Inline, ...]


Inline = Text | Code | Styled | Link


@dataclass(frozen=True, slots=True)
class Paragraph:
    """`tight`: the item of a list, whose neighbours follow without an empty line."""

    children: tuple[Inline, ...]
    tight: bool = False


@dataclass(frozen=True, slots=True)
class Heading:
    level: int
    children: tuple[Inline, ...]


@dataclass(frozen=True, slots=True)
class CodeBlock:
    text: str
    language: str


@dataclass(frozen=True, slots=True)
class Quote:
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """A list, numbered from `start` if that is a number."""

    items: tuple[tuple[Block, ...], ...]
    start: int | None = None

    @property
    def tight(self) -> bool:
        """Its items follow each other without empty lines."""
        paragraphs = [each for item in self.items for each in item if isinstance(each, Paragraph)]
        return all(each.tight for each in paragraphs)


@dataclass(frozen=True, slots=True)
class Rule:
    """A line across."""


@dataclass(frozen=True, slots=True)
class Table:
    """The first row has the headings."""

    rows: tuple[tuple[tuple[Inline, ...], ...], ...]
    alignments: tuple[str, ...]


Block = Paragraph | Heading | CodeBlock | Quote | Listing | Rule | Table


def words(children: tuple[Inline, ...]) -> str:
    """The words alone."""
    return "".join(
        child.text if isinstance(child, Text | Code) else words(child.children)
        for child in children
    )
