"""HTML for mail: what mail programs show alike, with nothing to load and nothing to run."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

import nh3

from channels.markdown.parsing import parse
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
    Styled,
    Table,
    Text,
)

_MONO = "font-family: monospace; background-color: #f4f4f4"
_CELL = "border: 1px solid #cccccc; padding: 4px 8px; text-align: {}"
_QUOTE = "margin: 0 0 0 4px; padding-left: 12px; border-left: 3px solid #cccccc; color: #555555"
_TAGS = {"bold": "b", "italic": "i", "underline": "u", "strikethrough": "s", "spoiler": "span"}
_SCHEMES = ("http://", "https://", "mailto:")

_cleaner = nh3.Cleaner(
    tags={
        *("a", "b", "blockquote", "br", "code", "hr", "i", "li", "ol", "p", "pre", "s", "span"),
        *(
            "table",
            "tbody",
            "td",
            "th",
            "thead",
            "tr",
            "u",
            "ul",
            "h1",
            "h2",
            "h3",
            "h4",
            "h5",
            "h6",
        ),
    },
    attributes={"*": {"style"}, "a": {"href"}, "ol": {"start"}},
    filter_style_properties={
        *("background-color", "border", "border-collapse", "border-left", "color", "font-family"),
        *("margin", "padding", "padding-left", "text-align", "white-space"),
    },
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",
    link_rel="noopener noreferrer nofollow",
)


def html(markdown: str) -> str:
    """Return the text as HTML that is safe in a mail."""
    whole = markdown.encode("utf-8", "replace").decode()
    return _cleaner.clean("".join(map(_block, parse(whole))))


def _block(block: Block) -> str:
    match block:
        case Paragraph(children, tight):
            return _inlines(children) if tight else f"<p>{_inlines(children)}</p>\n"
        case Heading(level, children):
            return f"<h{level}>{_inlines(children)}</h{level}>\n"
        case CodeBlock(text):
            style = f"{_MONO}; padding: 8px; white-space: pre-wrap"
            return f'<pre style="{style}">{escape(text)}</pre>\n'
        case Quote(blocks):
            return f'<blockquote style="{_QUOTE}">{_blocks(blocks)}</blockquote>\n'
        case Listing(items, start):
            tag = "ul" if start is None else "ol"
            number = f' start="{start}"' if start not in (None, 1) else ""
            lines = "".join(f"<li>{_blocks(item)}</li>\n" for item in items)
            return f"<{tag}{number}>\n{lines}</{tag}>\n"
        case Table():
            return _table(block)
    return "<hr>\n"


def _blocks(blocks: Iterable[Block]) -> str:
    return "".join(map(_block, blocks))


def _table(table: Table) -> str:
    rows = []
    for number, row in enumerate(table.rows):
        tag = "td" if number else "th"
        cells = "".join(
            f'<{tag} style="{_CELL.format(alignment or "left")}">{_inlines(cell)}</{tag}>'
            for cell, alignment in zip(row, table.alignments, strict=False)
        )
        rows.append(f"<tr>{cells}</tr>\n")
    return f'<table style="border-collapse: collapse"><tbody>\n{"".join(rows)}</tbody></table>\n'


def _inlines(children: Iterable[Inline]) -> str:
    return "".join(map(_inline, children))


def _inline(child: Inline) -> str:
    match child:
        case Text(text):
            return escape(text).replace("\n", "<br>\n")
        case Code(text):
            return f'<code style="{_MONO}">{escape(text)}</code>'
        case Styled(style, children):
            tag = _TAGS[style]
            return f"<{tag}>{_inlines(children)}</{tag}>"
        case Link(url, children):
            name = _inlines(children) or escape(url)
            if not url.lower().startswith(_SCHEMES):
                return f"{name} ({escape(url)})"
            return f'<a href="{escape(url)}">{name}</a>'
