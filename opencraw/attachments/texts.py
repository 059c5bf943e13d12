"""Plain texts: what they say, by their mark, by what their sender said, or as they look.

Of a text only its beginning is looked at, and no codec is asked that takes longer than in
proportion to it: so no process of its own is needed, and nobody waits behind somebody else's.
"""

from __future__ import annotations

import codecs

LONGEST_TEXT = 100_000
#: Enough for so many characters, of which none that people write has more bytes than four.
MOST_BYTES = 4 * LONGEST_TEXT
#: Codecs that are no charsets, or take for ever.
_NO_CHARSETS = frozenset({"punycode", "idna", "undefined", "unicode-escape", "raw-unicode-escape"})
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def beginning(data: bytes, charset: str) -> tuple[str, bool]:
    """The first characters of a text, and whether it has more."""
    text = decoded(data[:MOST_BYTES], charset, cut=len(data) > MOST_BYTES)
    return printable(text[:LONGEST_TEXT]), len(text) > LONGEST_TEXT or len(data) > MOST_BYTES


def decoded(data: bytes, charset: str, *, cut: bool = False) -> str:
    """A text as characters. One that was `cut` may end within its last one."""
    marked = next((name for mark, name in _MARKS if data.startswith(mark)), "")
    for encoding in filter(None, (marked, charset, "utf-8")):
        try:
            name = codecs.lookup(encoding).name
            if name not in _NO_CHARSETS:
                return _without_its_end(data, name) if cut else data.decode(name)
        except (LookupError, ValueError, TypeError):
            # Unknown, or not what it is written in; some in the register are no encodings of text.
            continue
    return data.decode("cp1252", "replace")


def printable(text: str) -> str:
    """The same text without what would not be seen, but does something to whoever shows it."""
    return "".join(each if each in "\n\t" or each.isprintable() else " " for each in text)


def _without_its_end(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as broken:
        if broken.end < len(data):
            raise
        return data[: broken.start].decode(encoding)
