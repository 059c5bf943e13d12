"""The parser that every dialect shares, and what it takes for a link.

An image becomes a link, since loading it would tell its host what the model was made to write into
the address. An address that stands in the text is a link too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt
from markdown_it.token import Token

if TYPE_CHECKING:
    from markdown_it.rules_core import StateCore

#: Whatever is nested deeper is nobody's handwriting; the parser gives it up.
MOST_NESTED = 40

_ADDRESS = re.compile(r"https?://[^\s<>\"`\u0000-\u001f\u2028\u2029]+", re.IGNORECASE)
_BRACKETS = ("()", "[]", "{}")


def chat_parser() -> MarkdownIt:
    """CommonMark without HTML, with tables and struck-out text. Line breaks count, as people expect
    in a chat."""
    options = {"html": False, "breaks": True, "maxNesting": MOST_NESTED}
    parser = MarkdownIt("commonmark", options).enable(["table", "strikethrough"])
    parser.core.ruler.push("safe_links", _adjust)
    return parser


def _adjust(state: StateCore) -> None:
    """Turn images and bare addresses into links, and alignment styles into attributes."""
    for token in state.tokens:
        if token.type == "inline" and token.children:
            token.children = list(_linked(token.children))
        elif token.type in ("th_open", "td_open"):
            alignment = str(token.attrs.pop("style", "")).removeprefix("text-align:")
            if alignment:
                token.attrs["align"] = alignment


def _linked(children: Sequence[Token]) -> Iterator[Token]:
    inside = 0
    for child in children:
        inside += {"link_open": 1, "link_close": -1}.get(child.type, 0)
        if child.type == "image":
            address = str(child.attrs.get("src", ""))
            name = child.content or "image"
            loadable = _ADDRESS.fullmatch(address) is not None
            yield from _link(address, name) if loadable and not inside else (_text(name),)
        elif child.type == "text" and not inside and "://" in child.content:
            yield from _with_addresses(child.content)
        else:
            yield child


def _with_addresses(text: str) -> Iterator[Token]:
    end = 0
    for match in _ADDRESS.finditer(text):
        address = _without_punctuation(match[0])
        if match.start() > end:
            yield _text(text[end : match.start()])
        yield from _link(address, address)
        end = match.start() + len(address)
    if end < len(text):
        yield _text(text[end:])


def _without_punctuation(address: str) -> str:
    """Leave out what belongs to the sentence: full stops, quotes, a bracket opened before."""
    end = len(address)
    unopened = {pair[1]: address.count(pair[1]) - address.count(pair[0]) for pair in _BRACKETS}
    while end:
        last = address[end - 1]
        if unopened.get(last, 0) > 0:
            unopened[last] -= 1
        elif last not in ".,:;!?'*_~":
            break
        end -= 1
    return address[:end]


def _link(address: str, text: str) -> tuple[Token, Token, Token]:
    return (
        Token("link_open", "a", 1, attrs={"href": address}),
        _text(text),
        Token("link_close", "a", -1),
    )


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)
