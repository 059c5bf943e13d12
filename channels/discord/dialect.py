"""Discord's dialect: its own Markdown, in which nothing means more than its author meant."""

from __future__ import annotations

import re
from collections.abc import Sequence

from channels.markdown.cutting import cuts, visible
from channels.markdown.flow import Flow, Kind, Manner, Mark, flow
from channels.markdown.parsing import parse

_MANNER = Manner(bullet="- ", longest_url=500, headings=True)
_AROUND: dict[Kind, str] = {
    "bold": "**",
    "italic": "*",
    "underline": "__",
    "strikethrough": "~~",
    "spoiler": "||",
}
_LARGEST_HEADING = 3
#: Breaks up what would mean something; nobody sees it.
_BREAK = "\u200b"
_SIGNS = str.maketrans({sign: f"\\{sign}" for sign in "\\*_~`|"})
#: The middle of a link, and what is special at the beginning of a line.
_SPECIAL = re.compile(r"\](?=\()|^(?:#{1,3}(?= )|-#(?= )|>)", re.MULTILINE)
_NAMES_SOMEBODY = re.compile(r"<(?=[@#:/]|a:|t:|id:)|@(?=everyone|here)")


def discord_parts(markdown: str, limit: int = 2000) -> list[str]:
    """Return the messages for a text, none longer than `limit`; none for a text without anything to
    see."""
    whole = flow(parse(markdown), _MANNER)
    if not visible(whole.text):
        whole = Flow(markdown.strip())

    def written(start: int, end: int) -> str:
        text = _written(whole.piece(start, end))
        # One character whose marks take up a whole message goes without them.
        return text if len(text) <= limit or end - start > 1 else whole.text[start:end]

    def size(start: int, end: int) -> int:
        return len(written(start, end))

    return [written(*place) for place in cuts(whole.text, limit, size)]


def _written(piece: Flow) -> str:
    return _stretch(piece.text, 0, len(piece.text), piece.marks)


def _stretch(text: str, start: int, end: int, marks: Sequence[Mark]) -> str:
    """Write down a part of a text with the marks within it, outer ones first."""
    written: list[str] = []
    place, number = start, 0
    while number < len(marks):
        mark = marks[number]
        behind = number + 1
        while behind < len(marks) and marks[behind].start < mark.end:
            behind += 1
        written.append(_words(text, place, mark.start))
        written.append(_marked(text, mark, marks[number + 1 : behind]))
        place, number = mark.end, behind
    written.append(_words(text, place, end))
    return "".join(written)


def _marked(text: str, mark: Mark, inner: Sequence[Mark]) -> str:
    match mark.kind:
        case "code":
            return _code(text[mark.start : mark.end])
        case "pre":
            code = text[mark.start : mark.end].replace("``", f"`{_BREAK}`")
            begin = "" if _begins_line(text, mark.start) else "\n"
            return f"{begin}```{mark.detail}\n{code}\n```"
    words = _stretch(text, mark.start, mark.end, inner)
    match mark.kind:
        case "quote":
            begin = "> " if _begins_line(text, mark.start) else ""
            return begin + words.replace("\n", "\n> ")
        case "heading":
            level = int(mark.detail)
            if level <= _LARGEST_HEADING and _begins_line(text, mark.start) and "\n" not in words:
                return f"{'#' * level} {words}"
            return _around(words, "**")
        case "link":
            url = mark.detail.replace(">", "%3E")
            bare = text[mark.start : mark.end] == mark.detail
            # In these brackets the platform shows no preview of the page.
            return f"<{url}>" if bare else f"[{words}](<{url}>)"
    return _around(words, _AROUND[mark.kind])


def _around(words: str, sign: str) -> str:
    """Signs count only where they touch the words."""
    bare = words.strip()
    if not bare:
        return words
    begin = words.index(bare)
    return f"{words[:begin]}{sign}{bare}{sign}{words[begin + len(bare) :]}"


def _code(code: str) -> str:
    if "`" not in code:
        return f"`{code}`"
    return f"`` {code.replace('``', f'`{_BREAK}`')} ``"


def _words(text: str, start: int, end: int) -> str:
    """Words that mean nothing but themselves."""
    if start == end:
        return ""
    # What stands before it keeps a word from being taken for the beginning of a line.
    before = "" if _begins_line(text, start) else "x"
    escaped = _SPECIAL.sub(r"\\\g<0>", before + text[start:end].translate(_SIGNS))
    return _NAMES_SOMEBODY.sub(rf"\g<0>{_BREAK}", escaped)[len(before) :]


def _begins_line(text: str, place: int) -> bool:
    return place == 0 or text[place - 1] == "\n"
