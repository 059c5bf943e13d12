"""Files as conversations know them: what is claimed when they arrive, what is known later.

Where a name goes it is only shown. Nothing is ever opened, stored or run under it.
"""

from __future__ import annotations

import mimetypes
import re
import unicodedata
from collections.abc import Sequence
from typing import Literal
from uuid import UUID, uuid4

import msgspec

from opencraw.contract import Attachment, ShownFile

#: More files than this are no message.
MOST_FILES = 100
#: A name in characters, its ending included; no script takes more than four bytes for one.
LONGEST_NAME = 60
#: By what a channel finds a file again, in characters.
LONGEST_SOURCE = 4_000
LARGEST_CLAIM = 2**62
#: Begins the source of a file that was handed to us; its id follows.
KEPT = "kept:"
UNKNOWN = "application/octet-stream"

_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,60}/[a-z0-9][a-z0-9!#$&^_.+-]{0,90}")
_LONGEST_ENDING = 10

State = Literal["pending", "stored", "refused", "failed"]


class File(msgspec.Struct, frozen=True):
    """A file that came with a message. `problem` is why there is nothing of it."""

    id: UUID
    name: str
    content_type: str
    size: int | None
    state: State
    problem: str = ""
    #: What a document says, as far as it was read; None is no document.
    text: str | None = None
    #: It says more than that.
    cut: bool = False
    #: Of a picture, in pixels.
    width: int = 0
    height: int = 0

    @property
    def is_awaited(self) -> bool:
        """Whether nobody has fetched it yet."""
        return self.state == "pending"

    @property
    def is_picture(self) -> bool:
        """Whether it can be looked at."""
        return self.state == "stored" and self.width > 0 and self.height > 0


class Claim(msgspec.Struct, frozen=True):
    """A file as its row begins. `kept` names the row that is there already, if one is."""

    id: UUID
    position: int
    name: str
    content_type: str
    size: int | None
    source: str
    kept: UUID | None = None


_files = msgspec.json.Decoder(tuple[File, ...])


def claims(attachments: Sequence[Attachment]) -> str | None:
    """What `accept` writes down of the files of a message; None is no files."""
    if not attachments:
        return None
    rows = [_claim(place, each) for place, each in enumerate(attachments[:MOST_FILES])]
    return msgspec.json.encode(rows).decode()


def _claim(position: int, attachment: Attachment) -> Claim:
    name = display_name(attachment.name)
    size = attachment.size
    if size is not None and not 0 <= size <= LARGEST_CLAIM:
        size = None
    source = attachment.source.replace("\0", "").encode("utf-8", "ignore").decode()
    return Claim(
        id=uuid4(),
        position=position,
        name=name,
        content_type=type_of(attachment.content_type, name),
        size=size,
        # What was cut finds nothing, and says so when it is fetched.
        source=source[:LONGEST_SOURCE],
        kept=_kept(source),
    )


def _kept(source: str) -> UUID | None:
    if not source.startswith(KEPT):
        return None
    try:
        return UUID(source.removeprefix(KEPT))
    except ValueError:
        return None


def files_of(told: str | None) -> tuple[File, ...]:
    """What `files_of` in the database said."""
    return _files.decode(told) if told else ()


def shown(told: str | None) -> tuple[ShownFile, ...]:
    """The same, for people."""
    return tuple(
        ShownFile(each.id, each.name, each.content_type, each.size, each.problem, each.is_picture)
        for each in files_of(told)
    )


def display_name(name: str) -> str:
    """`name` without folders, and without anything that would show it as another one."""
    last = re.split(r"[/\\]", name[-4_000:])[-1]
    visible = "".join(
        " " if unicodedata.category(each)[0] in "CZ" else each
        for each in unicodedata.normalize("NFC", last)
    )
    words = " ".join(visible.split()).strip(" .")
    if len(words) <= LONGEST_NAME:
        return words or "file"
    stem, dot, ending = words.rpartition(".")
    if not dot or len(ending) > _LONGEST_ENDING:
        return words[:LONGEST_NAME].rstrip()
    return f"{stem[: LONGEST_NAME - len(ending) - 1].rstrip()}.{ending}"


def type_of(claimed: str, name: str) -> str:
    """What a file is said to be, in small letters; of a text also its `charset`. Who says nothing
    is taken by the name."""
    said, _, more = claimed.lower().partition(";")
    said = said.strip()
    if said in ("", UNKNOWN):
        return mimetypes.guess_type(name)[0] or UNKNOWN
    if _TYPE.fullmatch(said) is None:
        return UNKNOWN
    charset = re.search(r'charset\s*=\s*"?([a-z0-9][a-z0-9_.:-]{0,30})', more)
    return f"{said}; charset={charset[1]}" if charset and said.startswith("text/") else said
