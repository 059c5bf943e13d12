"""The parts of a mail, found in one pass over its bytes.

The standard library's parser reads line by line and goes as deep as a mail is nested; a mail made
to hurt costs it minutes, or the stack. Here bytes are searched, not read, nothing is copied before
somebody wants it, and there are limits to depth, parts and work.
"""

from __future__ import annotations

import binascii
import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.headerregistry import ContentDispositionHeader, ContentTypeHeader

from channels.mail.headers import (
    Headers,
    Unreadable,
    one_line,
    read_headers,
    split_headers,
    structured,
)

MOST_PARTS = 200
DEEPEST = 12
#: How often something is looked at that could separate two parts.
_MOST_LOOKS = 20_000
_LONGEST_BOUNDARY = 200
LONGEST_NAME = 200
#: Codecs that are no charsets, or take for ever.
_NO_CHARSETS = frozenset({"punycode", "idna", "undefined", "unicode_escape", "raw_unicode_escape"})


@dataclass(frozen=True, slots=True)
class Part:
    """A part without parts of its own. `number` is what an IMAP server calls it by."""

    number: str
    content_type: str
    charset: str
    encoding: str
    name: str
    #: It is to be saved rather than read.
    apart: bool
    #: The kinds of multipart around it, the outermost first.
    around: tuple[str, ...]
    raw: bytes

    @property
    def size(self) -> int:
        """How many bytes it has when it is decoded, about."""
        return len(self.raw) * 3 // 4 if self.encoding == "base64" else len(self.raw)

    def decoded(self, most: int | None = None) -> bytes:
        """Its bytes, of at most `most` encoded ones."""
        return decoded(self.raw if most is None else self.raw[:most], self.encoding)

    def text(self, most: int) -> str:
        """Its text, from at most `most` encoded bytes, whatever is wrong with them."""
        return as_text(self.decoded(most), self.charset)


def parts(data: bytes) -> list[Part]:
    """The parts of a mail, in order. Raises `Unreadable` for what is nested or cut up too much."""
    return list(_Walk(data).parts())


class _Walk:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._found = 0
        self._looks = 0

    def parts(self) -> Iterator[Part]:
        # A stack and no recursion: whoever writes a mail does not choose how deep ours is.
        todo: list[tuple[str, int, int, tuple[str, ...]]] = [("", 0, len(self._data), ())]
        while todo:
            number, start, end, around = todo.pop()
            self._found += 1
            if self._found > MOST_PARTS:
                raise Unreadable(f"more than {MOST_PARTS} parts")
            # Of a part no more is copied at first than its headers may take.
            block, _ = split_headers(self._data[start : min(end, start + 300 * 1024)])
            headers = read_headers(block)
            start = self._below(start, len(block), end)
            kind, boundary = _kind(headers)
            if kind.startswith("multipart/") and boundary:
                if len(around) >= DEEPEST:
                    raise Unreadable(f"parts nested more than {DEEPEST} deep")
                inside = self._split(boundary, start, end)
                if inside:
                    prefix = f"{number}." if number else ""
                    todo += [
                        (f"{prefix}{index}", *span, (*around, kind))
                        for index, span in reversed(list(enumerate(inside, 1)))
                    ]
                    continue
            yield _leaf(number or "1", kind, headers, around, self._data[start:end])

    def _below(self, start: int, block: int, end: int) -> int:
        """Where what is below a block of headers begins."""
        blank = re.compile(rb"\r?\n(?:\r?\n)?").match(self._data, start + block, end)
        return blank.end() if blank is not None else min(end, start + block)

    def _split(self, boundary: bytes, start: int, end: int) -> list[tuple[int, int]]:
        """The spans between lines that are the boundary. A last one that was never closed counts:
        mails are cut."""
        mark = b"--" + boundary
        spans: list[tuple[int, int]] = []
        opened: int | None = None
        at = start
        while (at := self._data.find(mark, at, end)) >= 0:
            self._looks += 1
            if self._looks > _MOST_LOOKS:
                raise Unreadable("what could be a border between its parts is everywhere")
            after = at + len(mark)
            line_end = self._data.find(b"\n", after, min(end, after + 1_000))
            tail = self._data[after : line_end if line_end >= 0 else min(end, after + 1_000)]
            is_line = at == start or self._data[at - 1] == 0x0A
            if not is_line or tail.strip() not in (b"", b"--"):
                at = after
                continue
            if opened is not None:
                spans.append((opened, self._before_line_end(opened, at)))
            at = line_end + 1 if line_end >= 0 else end
            opened = at
            if tail.startswith(b"--"):
                return spans
            if len(spans) > MOST_PARTS:
                raise Unreadable(f"more than {MOST_PARTS} parts")
        return spans if opened is None else [*spans, (opened, end)]

    def _before_line_end(self, start: int, at: int) -> int:
        """The line end before a boundary belongs to the boundary."""
        if at > start and self._data[at - 1] == 0x0A:
            at -= 1
            if at > start and self._data[at - 1] == 0x0D:
                at -= 1
        return at


def _kind(headers: Headers) -> tuple[str, bytes]:
    """The content type and, of a multipart, its boundary."""
    header = structured("content-type", headers.first("content-type"))
    if not isinstance(header, ContentTypeHeader) or not headers.has("content-type"):
        return "text/plain", b""
    boundary = str(header.params.get("boundary", "")).encode("utf-8", "surrogateescape")
    if len(boundary) > _LONGEST_BOUNDARY:
        boundary = b""
    return header.content_type.lower(), boundary


def _leaf(number: str, kind: str, headers: Headers, around: tuple[str, ...], raw: bytes) -> Part:
    if kind.startswith("multipart/"):
        # A multipart without any border in it was meant to be read all the same.
        kind = "text/plain"
    charset, name = "", ""
    header = structured("content-type", headers.first("content-type"))
    if isinstance(header, ContentTypeHeader):
        charset, name = str(header.params.get("charset", "")), str(header.params.get("name", ""))
    disposition = structured("content-disposition", headers.first("content-disposition"))
    apart = False
    if isinstance(disposition, ContentDispositionHeader):
        apart = disposition.content_disposition == "attachment"
        name = str(disposition.params.get("filename", "")) or name
    encoding = headers.first("content-transfer-encoding").strip().lower()
    return Part(number, kind, charset, encoding, _name(name), apart, around, raw)


def _name(name: str) -> str:
    """A file's name as decoration: no path, nothing that is not seen."""
    return one_line(re.split(r"[/\\]", name)[-1], LONGEST_NAME).strip(". ")


def decoded(raw: bytes, encoding: str) -> bytes:
    """Undo a transfer encoding, as far as it can be undone."""
    if encoding == "base64":
        return _base64(raw)
    if encoding == "quoted-printable":
        return binascii.a2b_qp(raw)
    return raw


def _base64(raw: bytes) -> bytes:
    try:
        # More padding than is needed hurts nothing, less is an error.
        return binascii.a2b_base64(raw + b"===")
    except binascii.Error:
        letters = re.sub(rb"[^A-Za-z0-9+/]", b"", raw)
        return binascii.a2b_base64(letters[: len(letters) // 4 * 4])


def as_text(data: bytes, charset: str) -> str:
    """Bytes as text: as they say, or as they look."""
    try:
        codec = codecs.lookup(charset.strip() or "utf-8")
        if codec.name.replace("-", "_") not in _NO_CHARSETS:
            return data.decode(codec.name)
    except (LookupError, ValueError):
        # An unknown charset, or bytes that are not in it.
        pass
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as broken:
        # A text that was cut within its last character is UTF-8 all the same.
        if broken.reason == "unexpected end of data":
            return data.decode("utf-8", "replace")
        return data.decode("cp1252", "replace")
