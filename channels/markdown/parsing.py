"""From Markdown to the tree.

Nothing that somebody wrote is lost on the way: what the parser would leave out (definitions of
links, whatever is nested too deep) stays as it was written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt
from markdown_it.token import Token

from channels.markdown.links import MOST_NESTED, chat_parser
from channels.markdown.source import beginning
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
    Rule,
    Style,
    Styled,
    Table,
    Text,
)

if TYPE_CHECKING:
    from markdown_it.rules_inline import StateInline

#: So much of a text is formatted; what follows is shown as it was written, but for fenced code. A
#: parser takes its time for texts that were made to take it.
FORMATTED_CHARACTERS = 32_000

_STYLES: dict[str, Style] = {
    "strong_open": "bold",
    "em_open": "italic",
    "s_open": "strikethrough",
    "underline_open": "underline",
    "spoiler_open": "spoiler",
}
_LANGUAGE = re.compile(r"[A-Za-z0-9+#.-]{1,24}")
#: The one tag that models put into tables, where there is no other way.
_LINE_BREAK = re.compile(r"<br ?/?>", re.IGNORECASE)


def parse(markdown: str) -> tuple[Block, ...]:
    """Return the text as a tree."""
    whole = markdown.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
    head, rest = whole, ""
    if len(whole) > FORMATTED_CHARACTERS:
        head, rest = beginning(whole, FORMATTED_CHARACTERS)
    tokens = _parser.parse(head)
    if any(token.level >= MOST_NESTED - 1 for token in tokens):
        return _as_written(whole)
    return tuple(_blocks(_Tokens([*tokens, *_fences.parse(rest)])))


def _as_written(text: str) -> tuple[Block, ...]:
    return (Paragraph((Text(text),)),) if text.strip() else ()


class _Tokens:
    """The parser's flat list, read from the front."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._next = 0

    def until(self, closing: str) -> Iterator[Token]:
        """Tokens up to the one of type `closing`, which is taken too; all for an empty one."""
        while self._next < len(self._tokens):
            token = self._tokens[self._next]
            self._next += 1
            if token.type == closing:
                return
            yield token


def _blocks(tokens: _Tokens, closing: str = "") -> Iterator[Block]:
    for token in tokens.until(closing):
        block = _block(token, tokens)
        if block is not None:
            yield block


def _block(token: Token, tokens: _Tokens) -> Block | None:
    match token.type:
        case "paragraph_open":
            return Paragraph(_content(tokens, "paragraph_close"), tight=token.hidden)
        case "heading_open":
            return Heading(int(token.tag[1:]), _content(tokens, "heading_close"))
        case "fence" | "code_block":
            return CodeBlock(token.content.removesuffix("\n"), _language(token.info))
        case "blockquote_open":
            return Quote(tuple(_blocks(tokens, "blockquote_close")))
        case "bullet_list_open":
            return _listing(tokens, None, "bullet_list_close")
        case "ordered_list_open":
            return _listing(tokens, int(token.attrs.get("start", 1)), "ordered_list_close")
        case "hr":
            return Rule()
        case "table_open":
            return _table(tokens)
    return None


def _language(info: str) -> str:
    found = _LANGUAGE.match(info.strip())
    return found[0] if found else ""


def _content(tokens: _Tokens, closing: str) -> tuple[Inline, ...]:
    return tuple(
        inline
        for token in tokens.until(closing)
        for inline in _inlines(_Tokens(token.children or ()))
    )


def _listing(tokens: _Tokens, start: int | None, closing: str) -> Listing:
    items = [
        tuple(_blocks(tokens, "list_item_close"))
        for token in tokens.until(closing)
        if token.type == "list_item_open"
    ]
    return Listing(tuple(items), start)


def _table(tokens: _Tokens) -> Table:
    rows: list[tuple[tuple[Inline, ...], ...]] = []
    alignments: list[str] = []
    for token in tokens.until("table_close"):
        if token.type == "tr_open":
            cells = []
            for cell in tokens.until("tr_close"):
                cells.append(_content(tokens, cell.type.replace("open", "close")))
                if not rows:
                    alignments.append(str(cell.attrs.get("align", "")))
            rows.append(tuple(cells))
    return Table(tuple(rows), tuple(alignments))


def _inlines(tokens: _Tokens, closing: str = "") -> Iterator[Inline]:
    for token in tokens.until(closing):
        if token.type in _STYLES:
            inner = _inlines(tokens, token.type.replace("open", "close"))
            yield Styled(_STYLES[token.type], tuple(inner))
        elif token.type == "link_open":
            yield Link(str(token.attrs["href"]), tuple(_inlines(tokens, "link_close")))
        elif token.type == "code_inline":
            yield Code(token.content)
        elif token.type in ("softbreak", "hardbreak"):
            yield Text("\n")
        elif token.content:
            yield Text(_LINE_BREAK.sub("\n", token.content))


# What people write besides CommonMark.

_WRAPPERS = (("<u>", "</u>", "underline"), ("||", "||", "spoiler"))


def _wrapped(state: StateInline, silent: bool) -> bool:
    """`||hidden||` and `<u>underlined</u>`."""
    for opening, closing, name in _WRAPPERS:
        begin = state.pos + len(opening)
        if not state.src.startswith(opening, state.pos):
            continue
        end = _end_of(state, closing, begin)
        if end < 0 or not _embraced(state.src, begin, end, opening):
            return False
        if not silent:
            limit = state.posMax
            state.push(f"{name}_open", "span", 1)
            state.pos, state.posMax = begin, end
            state.md.inline.tokenize(state)
            state.posMax = limit
            state.push(f"{name}_close", "span", -1)
        state.pos = end + len(closing)
        return True
    return False


def _embraced(text: str, begin: int, end: int, sign: str) -> bool:
    """Whether signs touch words within, and those that people write for other reasons none
    without."""
    if text[begin].isspace() or text[end - 1].isspace():
        return False
    outer, behind = begin - len(sign), end + len(sign)
    before, after = text[max(outer - 1, 0) : outer], text[behind : behind + 1]
    return sign == "<u>" or not (before.isalnum() or after.isalnum())


def _end_of(state: StateInline, closing: str, begin: int) -> int:
    """Where it closes, or -1. What was sought in vain once is not sought again."""
    hopeless: set[str] = state.env.setdefault("hopeless", set())
    key = f"{closing} {state.posMax} {id(state.tokens)}"
    if key in hopeless:
        return -1
    end = state.src.find(closing, begin + 1, state.posMax)
    if end < 0:
        hopeless.add(key)
    return end


def _make_parser() -> MarkdownIt:
    parser = chat_parser().disable("reference")
    parser.inline.ruler.before("emphasis", "wrapped", _wrapped)
    # Plain words end where a mark may begin.
    parser.inline.add_terminator_char("|")
    return parser


_parser = _make_parser()
_fences = MarkdownIt("zero").enable("fence")
