"""Markdown to HTML that is safe to put into a page.

Three fences stand in a row: the parser never passes raw HTML through, the sanitiser keeps an
allowlist of tags and attributes, and the page's content security policy runs no inline script.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from time import thread_time
from typing import TYPE_CHECKING

import nh3

from channels.markdown.links import chat_parser

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererHTML
    from markdown_it.token import Token
    from markdown_it.utils import EnvType, OptionsDict
    from pygments.token import _TokenType

    Coloured = tuple[_TokenType, str]

#: Characters of code in one text that get colours; what follows is shown without.
HIGHLIGHT_LIMIT = 8_000
#: What the colours of one text may cost.
HIGHLIGHT_SECONDS = 0.25

# Lexers are regular expressions, and a hostile text may choose its own language: only those that
# people paste every day are ever run, on little code (some take the square of its length for a
# single token), and not for long.
_PASTED_EVERY_DAY = """
    bash c c++ cpp cs csharp css diff docker dockerfile go html ini java javascript js json jsx
    kotlin lua make makefile nginx php powershell py python rb rs ruby rust scss sh shell sql swift
    toml ts tsx typescript xml yaml yml zsh
"""
HIGHLIGHTED = frozenset(_PASTED_EVERY_DAY.split())

_ALIGNMENTS = {"left", "center", "right"}
_LANGUAGE = re.compile(r"[A-Za-z0-9+#.-]{1,24}")
_TEXT_TAGS = {"a", "blockquote", "br", "code", "del", "em", "p", "pre", "s", "span", "strong"}
_BLOCK_TAGS = {"h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "ul"}
_TABLE_TAGS = {"table", "tbody", "td", "th", "thead", "tr"}


class Colours:
    """The budget for the code in one text: once it is spent, code is shown plainly."""

    def __init__(self) -> None:
        self._characters = HIGHLIGHT_LIMIT
        self._seconds = HIGHLIGHT_SECONDS

    def html(self, code: str, language: str) -> str:
        """Return all of `code` as HTML, with colours as far as the budget goes."""
        if language not in HIGHLIGHTED or not self._characters or self._seconds <= 0:
            return escape(code)
        # Slow to load and seldom needed: only the first block of code pays.
        from pygments import format as formatted
        from pygments.formatters.html import HtmlFormatter
        from pygments.lexers import get_lexer_by_name

        # Lexers drop this mark, and we count characters.
        code = code.removeprefix("\ufeff")
        coloured = code[: self._characters]
        self._characters -= len(coloured)
        lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
        tokens = list(self._in_time(lexer.get_tokens(coloured)))
        rest = code[sum(len(value) for _, value in tokens) :]
        html = str(formatted(tokens, HtmlFormatter(nowrap=True)))
        if rest and not (tokens and tokens[-1][1].endswith("\n")):
            # The formatter ends its last line, but where we cut no line ends.
            html = html.removesuffix("\n")
        return html + escape(rest)

    def _in_time(self, tokens: Iterable[Coloured]) -> Iterator[Coloured]:
        # The thread's own time: a busy event loop costs no colours.
        begin = thread_time()
        for token in tokens:
            yield token
            if thread_time() - begin > self._seconds:
                break
        self._seconds -= thread_time() - begin


def render(text: str) -> str:
    """Return Markdown as safe HTML."""
    # Half a surrogate pair has no place in UTF-8, which the sanitiser works in.
    whole = text.encode("utf-8", "replace").decode()
    html: str = _parser.render(whole, {"colours": Colours()})
    return _cleaner.clean(html)


def _make_parser() -> MarkdownIt:
    parser = chat_parser()
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


def _fence(
    renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType
) -> str:
    token = tokens[index]
    found = _LANGUAGE.match(token.info.strip())
    language = found[0].lower() if found else ""
    colours: Colours = env["colours"]
    code = colours.html(token.content, language)
    attribute = f' data-language="{escape(language)}"' if language else ""
    return f"<pre{attribute}><code>{code}</code></pre>\n"


_parser = _make_parser()
_cleaner = _make_cleaner()
