"""How a model is shown the files of a message: a line for each, what documents say, and pictures.

A picture is shown for as long as it is among the newest. They leave in steps of several, so that
prompts between two steps begin with the same bytes; a line of each stays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from opencraw.attachments.kinds import PICTURES, in_words
from opencraw.context.notes import note
from opencraw.fence import fence, neutral
from opencraw.model import Picture
from opencraw.sessions.files import File
from opencraw.sessions.transcript import Entry, View

#: How many tokens a picture of this width and height takes.
PictureTokens = Callable[[int, int], int]

#: So many pictures are in a prompt at most, and so many of the oldest leave together.
MOST_PICTURES = 10
PICTURES_LEAVE = 5
#: Of all pictures in a prompt, before base64 makes a third more of them.
MOST_PICTURE_BYTES = 15_000_000
#: Vendors take 5 MB of base64, and 8,000 pixels in a row.
LARGEST_PICTURE = 5 * 1024 * 1024 * 3 // 4
MOST_PIXELS = 8_000
#: Of a document that was read long ago so many characters of its beginning stay.
SHORT_DOCUMENT = 600
LONGEST_PROBLEM = 300
#: The fewest characters of a document that are worth showing.
LEAST_SHOWN = 200

_NOT_IN_LINES = str.maketrans(dict.fromkeys("<>[]{}|`*\n\r", " "))


@dataclass(frozen=True, slots=True)
class Look:
    """How much of files is shown."""

    #: Of all documents of one message, in characters.
    longest: int
    #: Part of the marks around what documents say.
    mark: str
    #: None: the model cannot see.
    tokens: PictureTokens | None
    #: Which pictures are shown; the others are too old.
    pictures: frozenset[UUID]


def anthropic_tokens(width: int, height: int) -> int:
    """As Anthropic counts: by the area, of a picture that is made smaller until its longer side has
    1,568 pixels and it takes 1,600 tokens."""
    scale = min(1.0, 1_568 / max(width, height))
    return min(math.ceil(width * scale * height * scale / 750), 1_600)


def openai_tokens(width: int, height: int) -> int:
    """As OpenAI counts: by squares of 512 pixels, once it fits in 2,048 and its shorter side is at
    most 768."""
    scale = min(1.0, 2_048 / max(width, height))
    width, height = max(int(width * scale), 1), max(int(height * scale), 1)
    scale = min(1.0, 768 / min(width, height))
    return 85 + 170 * math.ceil(width * scale / 512) * math.ceil(height * scale / 512)


def tokens_by(provider: str) -> PictureTokens:
    """How this wire format's vendor counts."""
    return anthropic_tokens if provider == "anthropic" else openai_tokens


def pictures_in(entries: Iterable[Entry], view: View) -> frozenset[UUID]:
    """The pictures that prompts show of a conversation: the newest that the marks allow."""
    found = [
        file
        for entry in entries
        if entry.files and entry.seq > max(view.begin_seq, view.pruned_seq)
        for file in entry.files
        if can_be_looked_at(file)
    ]
    first = 0
    while _are_too_many(found[first:]):
        first += PICTURES_LEAVE if len(found) - first > PICTURES_LEAVE else 1
    return frozenset(file.id for file in found[first:])


def _are_too_many(files: Sequence[File]) -> bool:
    return len(files) > MOST_PICTURES or sum(each.size or 0 for each in files) > MOST_PICTURE_BYTES


def can_be_looked_at(file: File) -> bool:
    """Whether every vendor takes this picture."""
    return (
        file.is_picture
        and file.content_type in PICTURES
        and (file.size or 0) <= LARGEST_PICTURE
        and max(file.width, file.height) <= MOST_PIXELS
    )


def with_files(text: str, files: Sequence[File], look: Look) -> tuple[str, tuple[Picture, ...]]:
    """A message's text with what is said about its files, and the pictures to look at."""
    if not files:
        return text, ()
    pictures = tuple(
        Picture(file.id, file.content_type, look.tokens(file.width, file.height))
        for file in files
        if look.tokens is not None and file.id in look.pictures and can_be_looked_at(file)
    )
    shown = {picture.id for picture in pictures}
    documents = sum(bool(file.text) for file in files)
    room = max(look.longest // max(documents, 1), LEAST_SHOWN)
    told = [_told(file, look, room, seen=file.id in shown) for file in files]
    return "\n\n".join(filter(None, (text, *told))), pictures


def names_of(files: Sequence[File]) -> str:
    """The files of a message in one line each, without what is in them."""
    return "\n".join(_line("file", file) for file in files)


def _told(file: File, look: Look, room: int, *, seen: bool) -> str:
    if file.state != "stored":
        problem = file.problem or note("file_pending")
        words = neutral(problem, look.mark).translate(_NOT_IN_LINES)[:LONGEST_PROBLEM]
        return _line("file_problem", file, problem=words)
    if file.is_picture:
        if seen:
            return _line("picture", file)
        fits = look.tokens is None or can_be_looked_at(file)
        if not fits:
            return _line("picture_too_large", file)
        return _line("picture_unseen" if look.tokens is None else "picture_gone", file)
    if file.text is None:
        return _line("file_closed", file)
    if not file.text:
        return _line("document_empty", file)
    said = fence(file.text[:room], origin=f"file {file.name}", mark=look.mark)
    cut = [note("document_cut")] if file.cut or len(file.text) > room else []
    return "\n".join((_line("file", file), said, *cut))


def _line(name: str, file: File, **more: object) -> str:
    size = in_words(file.size) if file.size is not None else note("file_size_unknown")
    kind = file.content_type.partition(";")[0]
    return note(name, name=plain_name(file), type=kind, size=size, **more)


def plain_name(file: File) -> str:
    """A file's name in a line of ours: it is somebody's own choice, and part of no sentence."""
    return neutral(" ".join(file.name.translate(_NOT_IN_LINES).split()), "") or "file"
