"""Marks around what others wrote: it is data, whatever it says.

A fence names where its content came from and carries a mark that only the session knows, at both
ends. Nothing inside can close it: the mark, the word that fences are made of and the tokens by
which models tell roles apart are changed in the content, so visibly that people can read it still.
"""

from __future__ import annotations

import re
import unicodedata

#: An origin is a name, not a text.
LONGEST_ORIGIN = 80

_TAG = "from-outside"
_OPENING = re.compile(
    rf'<{_TAG} origin="[^"<>\n]{{1,{LONGEST_ORIGIN}}}" mark="([^"<>\n]{{0,40}})">\n'
)
_TAG_INSIDE = re.compile(r"from-(?=outside)", re.IGNORECASE)
#: <|im_start|> and its like, in the letters of several vendors.
_ROLE_TOKEN = re.compile(
    r"<\|[^<>|\n]*\|>|<｜[^<>｜\n]*｜>|<</?SYS>>|\[/?INST\]|</?(?:start|end)_of_turn>",
    re.IGNORECASE,
)
_ROLE_OPENING = re.compile(r"<(?=[|｜</]|start|end)|\[(?=/?INST)", re.IGNORECASE)
_NOT_IN_ORIGINS = re.compile(r"""["'`<>\[\]{}()|\\]+""")


def fence(text: str, *, origin: str, mark: str) -> str:
    """`text` between marks that name where it came from. Nothing in it can close them."""
    name = _named(neutral(origin[: 4 * LONGEST_ORIGIN], mark))
    inside = neutral(text, mark)
    return f'<{_TAG} origin="{name}" mark="{mark}">\n{inside}{_closing(mark)}'


def edges(text: str, end: str) -> tuple[str, str]:
    """The two marks of a fence with which `text` begins and `end` ends; two empty texts when they
    are no fence's."""
    opening = _OPENING.match(text)
    if opening is None or not end.endswith(closing := _closing(opening[1])):
        return "", ""
    return opening[0], closing


def _closing(mark: str) -> str:
    return f'\n</{_TAG} mark="{mark}">'


def neutral(text: str, mark: str) -> str:
    """`text`, without anything that a model could take for a fence or for another role's words."""
    text = _TAG_INSIDE.sub("from ", text)
    text = _ROLE_TOKEN.sub(lambda token: f"‹{token[0][1:-1]}›", text)
    if _ROLE_TOKEN.search(text):
        # Tokens inside of tokens are nobody's ordinary text. Peeling one after the other would take
        # as long as somebody likes.
        text = _ROLE_OPENING.sub("‹", text)
    if mark:
        text = re.sub(re.escape(mark), "…", text, flags=re.IGNORECASE)
    return text


def _named(origin: str) -> str:
    """An origin in one line and without anything that could end its quotes."""
    shown = "".join(
        " " if unicodedata.category(character)[0] in "CZ" else character for character in origin
    )
    words = _NOT_IN_ORIGINS.sub(" ", shown).split()
    return " ".join(words)[:LONGEST_ORIGIN].rstrip() or "unknown"
