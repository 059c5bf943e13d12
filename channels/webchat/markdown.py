"""Markdown to HTML that is safe to put into a page.

Three fences stand in a row: the parser never passes raw HTML through, the sanitiser keeps an
allowlist of tags and attributes, and the page's content security policy runs no inline script. A
remote image is shown as a link, since loading it would tell its host what the model was made to
write into the address.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token

if TYPE_CHECKING:
    from markdown_it.renderer import RendererHTML
    from markdown_it.rules_core import StateCore
    from markdown_it.utils import EnvType, OptionsDict

#: Longer code is shown without colours.
HIGHLIGHT_LIMIT = 50_000

# Lexers are regular expressions, and a hostile text may choose its own language: only those that
# people paste every day are ever run.
_PASTED_EVERY_DAY = """
    bash c c++ cpp cs csharp css diff docker dockerfile go html ini java javascript js json jsx
    kotlin lua make makefile nginx php powershell py python rb rs ruby rust scss sh shell sql swift
    toml ts tsx typescript xml yaml yml zsh
"""
HIGHLIGHTED = frozenset(_PASTED_EVERY_DAY.split())

_ALIGNMENTS = {"left", "center", "right"}
_ADDRESS = re.compile(r"https?://[^\s<>\"`\u0000-\u001f\u2028\u2029]+", re.IGNORECASE)
_LANGUAGE = re.compile(r"[A-Za-z0-9+#.-]{1,24}")
_TEXT_TAGS = {"a", "blockquote", "br", "code", "del", "em", "p", "pre", "s", "span", "strong"}
_BLOCK_TAGS = {"h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "ul"}
_TABLE_TAGS = {"table", "tbody", "td", "th", "thead", "tr"}


def render(text: str) -> str:
    """Return Markdown as safe HTML."""
    # Half a surrogate pair has no place in UTF-8, which the sanitiser works in.
    html: str = _parser.render(text.encode("utf-8", "replace").decode())
    return _cleaner.clean(html)


def _make_parser() -> MarkdownIt:
    # Line breaks count, as people expect in a chat.
    options = {"html": False, "breaks": True, "maxNesting": 40}
    parser = MarkdownIt("commonmark", options).enable(["table", "strikethrough"])
    parser.core.ruler.push("safe_links", _adjust)
    parser.add_render_rule("fence", _fence)
    return parser


def _make_cleaner() -> nh3.Cleaner:
    from pygments.token import STANDARD_TYPES

    return nh3.Cleaner(
        tags=_TEXT_TAGS | _BLOCK_TAGS | _TABLE_TAGS,
        attributes={"a": {"href", "title"}, "ol": {"start"}, "pre": {"data-language"}},
        allowed_classes={"span": {name for name in STANDARD_TYPES.values() if name}},
        tag_attribute_values={"td": {"align": _ALIGNMENTS}, "th": {"align": _ALIGNMENTS}},
        set_tag_attribute_values={"a": {"target": "_blank"}},
        url_schemes={"http", "https", "mailto"},
        url_relative="deny",
        link_rel="noopener noreferrer nofollow",
    )


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
    while address:
        last = address[-1]
        if last in ".,:;!?'*_~" or (last in ")]}" and _unopened(address)):
            address = address[:-1]
        else:
            break
    return address


def _unopened(address: str) -> bool:
    closing = address[-1]
    opening = {")": "(", "]": "[", "}": "{"}[closing]
    return address.count(closing) > address.count(opening)


def _link(address: str, text: str) -> tuple[Token, Token, Token]:
    return (
        Token("link_open", "a", 1, attrs={"href": address}),
        _text(text),
        Token("link_close", "a", -1),
    )


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)


def _fence(
    renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType
) -> str:
    token = tokens[index]
    found = _LANGUAGE.match(token.info.strip())
    language = found[0].lower() if found else ""
    code = _coloured(token.content, language) or escape(token.content)
    attribute = f' data-language="{escape(language)}"' if language else ""
    return f"<pre{attribute}><code>{code}</code></pre>\n"


def _coloured(code: str, language: str) -> str | None:
    if language not in HIGHLIGHTED or len(code) > HIGHLIGHT_LIMIT:
        return None
    # Slow to load and seldom needed: only the first block of code pays.
    from pygments import highlight
    from pygments.formatters.html import HtmlFormatter
    from pygments.lexers import get_lexer_by_name

    lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    return str(highlight(code, lexer, HtmlFormatter(nowrap=True)))


_parser = _make_parser()
_cleaner = _make_cleaner()
