"""Reads a document, in a process of its own that may take little and can be killed.

    python -m opencraw.attachments.extract TYPE CHARSET < document > text

What was read is written as it is found, so that a document without an end is still known by its
beginning. The exit code says how it went.
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from enum import IntEnum
from html.parser import HTMLParser
from io import BytesIO

from opencraw.attachments.texts import LONGEST_TEXT, decoded, printable

# As in `opencraw.settings`, which takes longer to load than most documents take to be read.
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

MOST_MEMORY = 1_000_000_000
CPU_SECONDS = 20
MOST_PAGES = 1_000
MOST_MEMBERS = 2_000
LARGEST_MEMBER = 50_000_000
#: What packs better than this was made to be unpacked.
LARGEST_RATIO = 150

_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
#: Elements whose content nobody sees, and those that begin a line.
_UNSEEN = frozenset({"script", "style", "template", "noscript", "head"})
_LINES = frozenset("p br div li tr h1 h2 h3 h4 h5 h6 table pre".split())


class End(IntEnum):
    """How reading a document ended. Everything else is a crash, or a kill."""

    WHOLE = 0
    CUT = 10
    ENCRYPTED = 20
    BROKEN = 21
    BOMB = 22


class Problem(Exception):
    """A document that is not read on."""

    def __init__(self, end: End) -> None:
        super().__init__(end.name)
        self.end = end


def main(content_type: str, charset: str) -> End:
    """Read a document from standard input, and write what it says to standard output."""
    _be_modest()
    data = sys.stdin.buffer.read()
    left = LONGEST_TEXT
    try:
        for found in pieces(content_type, charset, data):
            piece = found[: left + 1]
            shown = printable(piece)
            sys.stdout.buffer.write(shown[:left].encode("utf-8", "replace"))
            sys.stdout.buffer.flush()
            left -= len(shown)
            if left < 0:
                return End.CUT
    except Problem as problem:
        return problem.end
    except (Exception, RecursionError):  # noqa: BLE001 - whatever a document does to its reader, the exit code tells
        return End.BROKEN
    return End.WHOLE


def pieces(content_type: str, charset: str, data: bytes) -> Iterable[str]:
    """What a document says, piece by piece. Raises `Problem`, and whatever its parser raises."""
    if content_type == "application/pdf":
        return _pdf(data)
    if content_type == DOCX:
        return _docx(data)
    return _html(decoded(data, charset))


def _be_modest() -> None:
    """Give up what a reader does not need, before anything is read. Not every system knows how."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        wanted = {
            resource.RLIMIT_CPU: CPU_SECONDS,
            resource.RLIMIT_FSIZE: 0,
            resource.RLIMIT_CORE: 0,
            resource.RLIMIT_AS: MOST_MEMORY,
        }
        for limit, most in wanted.items():
            resource.setrlimit(limit, (most, most))


def _pdf(data: bytes) -> Iterator[str]:
    import pypdf
    from pypdf.errors import DependencyError, FileNotDecryptedError

    reader = pypdf.PdfReader(BytesIO(data))
    try:
        # Many are encrypted with no password at all.
        if reader.is_encrypted and not reader.decrypt(""):
            raise Problem(End.ENCRYPTED)
        for number, page in enumerate(reader.pages):
            if number >= MOST_PAGES:
                raise Problem(End.CUT)
            yield page.extract_text().strip() + "\n\n"
    except (FileNotDecryptedError, DependencyError):
        raise Problem(End.ENCRYPTED) from None


def _docx(data: bytes) -> Iterator[str]:
    from defusedxml.ElementTree import iterparse

    with zipfile.ZipFile(BytesIO(data)) as archive:
        if len(archive.infolist()) > MOST_MEMBERS:
            raise Problem(End.BOMB)
        member = archive.getinfo("word/document.xml")
        if member.flag_bits & 1:
            raise Problem(End.ENCRYPTED)
        if member.file_size > min(
            LARGEST_MEMBER, max(member.compress_size, 10_000) * LARGEST_RATIO
        ):
            raise Problem(End.BOMB)
        with archive.open(member) as document:
            # No entities: they are how a small document becomes a large one.
            content = BytesIO(document.read(LARGEST_MEMBER))
    for _, element in iterparse(content, forbid_dtd=True):
        match element.tag.removeprefix(_WORD):
            case "t":
                yield element.text or ""
            case "tab" | "tc":
                yield "\t"
            case "br" | "p":
                yield "\n"
        element.clear()


def _html(text: str) -> Iterator[str]:
    reader = _Visible()
    for begin in range(0, len(text), 65_536):
        reader.feed(text[begin : begin + 65_536])
        yield reader.take()
    reader.close()
    yield reader.take()


class _Visible(HTMLParser):
    """What of a page people would read."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._found: list[str] = []
        self._unseen = 0

    def take(self) -> str:
        """What was found since the last time."""
        found, self._found = self._found, []
        return "".join(found)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._unseen += tag in _UNSEEN
        if tag in _LINES:
            self._found.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._unseen = max(self._unseen - (tag in _UNSEEN), 0)

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self._found.append(data)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
