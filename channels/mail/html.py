"""HTML mail as text: what a person would read in it, its quotes marked as plain mail marks them."""

from __future__ import annotations

import re
from collections import Counter
from html import unescape

import nh3

#: Longer HTML is cut: what is written by hand is never so long.
LONGEST = 400_000
_BLOCKS = frozenset(
    """address article aside blockquote center dd details div dl dt figure footer form h1 h2 h3 h4
    h5 h6 header hr li main nav ol p pre section summary table tr ul""".split()
)
_TAGS = frozenset({*_BLOCKS, "a", "br", "td", "th"})
_DROPPED = frozenset({"head", "script", "style", "title", "template", "noscript", "svg", "math"})
# nh3 hands back well-formed HTML, so this reads all of it.
_TOKENS = re.compile(r'<(/?)([a-z0-9]+)((?:\s+[a-z-]+="[^"]*")*)\s*/?>|([^<]+)|<')
_HREF = re.compile(r'href="([^"]*)"')
_DEEPEST_QUOTE = 5
#: Elements within elements; a parser's work grows with their square.
_DEEPEST = 300
_OPENED = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
# They have no end, or what follows ends them.
_CLOSED_BY_THEMSELVES = frozenset(
    """area base br col dd dt embed hr img input li link meta option p param source td th tr track
    wbr""".split()
)
_TAG = re.compile(r"<[^<>]*>")


def text_of_html(html: str) -> str:
    """The text of a page that somebody else wrote."""
    html = html[:LONGEST]
    if _depth(html) > _DEEPEST:
        # Made to hurt, or by a broken program; either way its words are there.
        return re.sub(r"\s+", " ", unescape(_TAG.sub(" ", html))).strip()
    clean = nh3.clean(
        html,
        tags=set(_TAGS),
        clean_content_tags=set(_DROPPED),
        attributes={"a": {"href"}},
        url_schemes={"http", "https", "mailto"},
        link_rel=None,
    )
    page = _Page()
    for closing, tag, attributes, text in _TOKENS.findall(clean):
        if text:
            page.write(text)
        elif tag:
            page.tag(tag, closing=bool(closing), attributes=attributes)
    return page.text()


def _depth(html: str) -> int:
    """How deep elements may be nested, at most."""
    opened: Counter[str] = Counter()
    depth = deepest = 0
    for closing, name in _OPENED.findall(html):
        tag = name.lower()
        # An end tag of what is not open ends nothing.
        if tag in _CLOSED_BY_THEMSELVES or (closing and not opened[tag]):
            continue
        step = -1 if closing else 1
        opened[tag] += step
        depth += step
        deepest = max(deepest, depth)
    return deepest


class _Page:
    """Lines as they come out of tags."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._line: list[str] = []
        self._quotes = 0
        self._exact = 0
        self._link: str | None = None
        self._link_text: list[str] = []

    def write(self, text: str) -> None:
        text = unescape(text).replace("\xa0", " ")
        if self._exact:
            first, *others = text.split("\n")
            self._put(first)
            for line in others:
                self._end_line()
                self._put(line)
            return
        words = re.sub(r"\s+", " ", text)
        if words.strip() or self._line:
            self._put(words)

    def _put(self, text: str) -> None:
        self._line.append(text)
        if self._link is not None:
            self._link_text.append(text)

    def tag(self, tag: str, *, closing: bool, attributes: str) -> None:
        if tag == "a":
            self._anchor(closing=closing, attributes=attributes)
        elif tag == "br":
            self._end_line(even_empty=True)
        elif tag in ("td", "th"):
            if self._line:
                self._line.append("  ")
        elif tag in _BLOCKS:
            self._block(tag, closing=closing)

    def _anchor(self, *, closing: bool, attributes: str) -> None:
        if not closing:
            found = _HREF.search(attributes)
            self._link = unescape(found[1]) if found is not None else None
            self._link_text = []
            return
        shown = "".join(self._link_text).strip()
        if self._link and shown and shown not in self._link and not self._link.endswith(shown):
            self._line.append(f" <{self._link[:2_000]}>")
        self._link = None

    def _block(self, tag: str, *, closing: bool) -> None:
        self._end_line()
        if tag == "blockquote" and closing:
            self._quotes = max(0, self._quotes - 1)
        if tag in ("p", "blockquote") or (tag[0] == "h" and tag[1:].isdigit()):
            self._blank()
        if tag == "blockquote" and not closing:
            self._quotes += 1
        elif tag == "pre":
            self._exact = max(0, self._exact + (-1 if closing else 1))
        elif tag == "li" and not closing:
            self._line.append("- ")

    def _blank(self) -> None:
        if self._lines and self._lines[-1].strip("> "):
            self._lines.append(self._mark())

    def _mark(self) -> str:
        return ">" * min(self._quotes, _DEEPEST_QUOTE) + " " * bool(self._quotes)

    def _end_line(self, *, even_empty: bool = False) -> None:
        line = "".join(self._line)
        self._line = []
        line = line.rstrip() if self._exact else line.strip()
        if line or even_empty:
            self._lines.append(self._mark() + line)

    def text(self) -> str:
        self._end_line()
        lines = [line.rstrip() for line in self._lines]
        while lines and not lines[-1].strip("> "):
            lines.pop()
        return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
