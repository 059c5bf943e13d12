"""A mail as people see it: what was written, and the files that came with it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from channels.mail.headers import Headers, read_headers, split_headers
from channels.mail.html import text_of_html
from channels.mail.mime import Part, parts
from channels.mail.quoting import own_words, unsigned
from channels.mail.threads import references

#: Larger mails are not read at all.
LARGEST = 20_000_000
#: Characters of text; what is longer is a file and no mail.
LONGEST_TEXT = 100_000
#: Encoded bytes of a part that are looked at for its text.
_LONGEST_PART = 1_500_000
MOST_FILES = 50
_CUT = "\n\n[The mail goes on; this is as much of it as is read.]"
# They prove something to programs, and say nothing to people.
_PROOFS = frozenset(
    """application/pgp-signature application/pkcs7-signature application/x-pkcs7-signature
    application/pgp-encrypted""".split()
)
_UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_COMMAND = re.compile(r"\s*(/[A-Za-z]+(?:[ \t].*)?)(?:\n|$)")
#: What stands behind these is a message, of however many lines.
_BEGINS_ANEW = re.compile(r"/(?:new|nuke)\b", re.I)
_FORWARDS = re.compile(r"\s*(?:fwd?|wg|tr|rv|i|enc|doorst|vb)\s*:", re.I)


@dataclass(frozen=True, slots=True)
class File:
    """A file in a mail, as the mail describes it."""

    number: str
    name: str
    content_type: str
    encoding: str
    #: When decoded, about.
    size: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What a mail says."""

    text: str
    files: tuple[File, ...]


def read(data: bytes) -> Reading:
    """Read a whole mail. Raises `Unreadable` for one that was made to be none."""
    block, _ = split_headers(data)
    headers = read_headers(block)
    found = parts(data)
    text = _text(found)
    if not _FORWARDS.match(headers.words("subject")):
        # Of what is forwarded every line may be what the mail is about.
        text = own_words(text) if references(headers) else unsigned(text)
    text = _command(text) or text
    if len(text) > LONGEST_TEXT:
        text = text[:LONGEST_TEXT] + _CUT
    files = tuple(_file(part) for part in found if _is_file(part))
    return Reading(_with_subject(headers, text.strip()), files[:MOST_FILES])


def _command(text: str) -> str | None:
    """The command that a mail is, without what people and their programs put below; None is none.
    A line that ends with a blank goes on in the next one (RFC 3676)."""
    found = _COMMAND.match(re.sub(r" \n", " ", text[:LONGEST_TEXT]))
    if found is None or _BEGINS_ANEW.match(found[1]):
        return None
    return found[1].strip()


def file_bytes(data: bytes, number: str) -> bytes | None:
    """One file of a whole mail; None if it is not in there."""
    return next((part.decoded() for part in parts(data) if part.number == number), None)


def _with_subject(headers: Headers, text: str) -> str:
    """What begins a conversation says what it is about, as often as not in its subject alone. A
    command is a command, under whatever subject."""
    subject = headers.words("subject", 300)
    if not subject or references(headers) or text.startswith("/"):
        return text or subject
    return f"Subject: {subject}\n\n{text}".strip()


def _text(found: list[Part]) -> str:
    readable = [part for part in found if _is_text(part)]
    plain = [part for part in readable if part.content_type == "text/plain"]
    said = [
        text
        for part in readable
        if not _is_other_version(part, plain) and (text := _text_of(part).strip())
    ]
    if not said:
        said = [text for part in readable if (text := _text_of(part).strip())]
    return _UNSEEN.sub("", "\n\n".join(said))


def _is_text(part: Part) -> bool:
    return part.content_type in ("text/plain", "text/html") and not part.apart and not part.name


def _is_other_version(part: Part, plain: list[Part]) -> bool:
    """The HTML of a text that is there as plain text, too."""
    if part.content_type != "text/html" or "multipart/alternative" not in part.around:
        return False
    depth = part.around.index("multipart/alternative")
    return any(
        other.around[: depth + 1] == part.around[: depth + 1]
        and other.number.split(".")[:depth] == part.number.split(".")[:depth]
        and other.raw.strip()
        for other in plain
    )


def _text_of(part: Part) -> str:
    text = part.text(_LONGEST_PART)
    if part.content_type == "text/html":
        return text_of_html(text)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _is_file(part: Part) -> bool:
    return not _is_text(part) and part.content_type not in _PROOFS and bool(part.raw.strip())


def _file(part: Part) -> File:
    name = part.name or f"part-{part.number}"
    return File(part.number, name, part.content_type, part.encoding, part.size)
