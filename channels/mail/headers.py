"""The lines above a mail: bounded before they are looked at, decoded when they are asked for.

The standard library's parser of structured headers is exact, and slow or confused on what was
written to hurt it. Nothing reaches it that is longer than a person's header, and what it cannot
read is no header.
"""

from __future__ import annotations

import re
from email.errors import MessageError
from email.header import decode_header, make_header
from email.headerregistry import BaseHeader, HeaderRegistry

LONGEST_BLOCK = 256 * 1024
MOST_LINES = 2_000
#: Of one header with all its lines.
LONGEST_VALUE = 16 * 1024
#: What the exact parser is given.
LONGEST_STRUCTURED = 2_000

#: What the standard library raises on headers that are none, beside what it promises to.
DEFECTS = (
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    RecursionError,
    MessageError,
)
_FIELD = re.compile(r"([!-9;-~]{1,100})[ \t]*:(.*)", re.S)
# Line ends, and characters that turn the direction of what follows or are not seen at all.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]+"
)
_registry = HeaderRegistry()


class Unreadable(ValueError):
    """This is no mail that anybody should try to read. The text says why."""


class Headers:
    """A block of header lines, in the order in which they stand."""

    def __init__(self, fields: tuple[tuple[str, str], ...]) -> None:
        self._fields = fields

    def every(self, name: str) -> tuple[str, ...]:
        """The values of all headers of this name, the topmost first, as they were sent."""
        return tuple(value for known, value in self._fields if known == name)

    def first(self, name: str) -> str:
        """The topmost value of a header; empty if there is none."""
        return next((value for known, value in self._fields if known == name), "")

    def has(self, name: str) -> bool:
        """Whether there is such a header at all."""
        return any(known == name for known, _ in self._fields)

    def words(self, name: str, longest: int = 500) -> str:
        """A header for people: decoded, on one line, without what cannot be seen."""
        return readable(self.first(name), longest)


def read_headers(block: bytes) -> Headers:
    """Take apart the lines above a mail or a part of one. Raises `Unreadable` for what is not to be
    read: nobody writes hundreds of kilobytes of headers to somebody whom he wants to reach."""
    if len(block) > LONGEST_BLOCK:
        raise Unreadable(f"more than {LONGEST_BLOCK // 1024} kB of headers")
    lines = block.split(b"\n", MOST_LINES)
    if len(lines) > MOST_LINES:
        raise Unreadable(f"more than {MOST_LINES} lines of headers")
    unfolded: list[list[str]] = []
    for line in lines:
        text = _decoded(line.rstrip(b"\r"))
        if text[:1] in (" ", "\t") and unfolded:
            unfolded[-1].append(text)
        elif text:
            unfolded.append([text])
    fields = []
    for parts in unfolded:
        found = _FIELD.fullmatch("".join(parts))
        if found is not None:
            fields.append((found[1].lower(), found[2].strip()[:LONGEST_VALUE]))
    return Headers(tuple(fields))


def split_headers(data: bytes) -> tuple[bytes, bytes]:
    """A mail's, or a part's, lines above and what is below them."""
    # Looked for only as far as headers may go: a body without any blank line is no search.
    head = data[: LONGEST_BLOCK + 4]
    found = re.match(rb"\r?\n", head) or re.search(rb"\r?\n\r?\n", head)
    if found is None:
        return data, b""
    return data[: found.start()], data[found.end() :]


def structured(name: str, value: str) -> BaseHeader | None:
    """A header as its grammar has it; None for what has none, or is longer than any honest one."""
    if len(value) > LONGEST_STRUCTURED:
        return None
    try:
        header: BaseHeader = _registry(name, value)
    except DEFECTS:
        return None
    return header


def readable(value: str, longest: int) -> str:
    """A header's text as people were meant to see it, with nothing in it that they would not."""
    value = value[: longest * 8]
    try:
        decoded = str(make_header(decode_header(value)))
    except DEFECTS:
        decoded = value
    return one_line(decoded, longest)


def one_line(text: str, longest: int) -> str:
    """A name or a subject as it may stand in a line of ours, whoever chose it."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return " ".join(_UNSEEN.sub(" ", text[: longest * 4]).split())[:longest]


def _decoded(line: bytes) -> str:
    # Headers are ASCII or UTF-8; what is neither was written by old programs in western Europe.
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")
