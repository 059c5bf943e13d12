"""The vocabularies by which OpenAI's models count: shipped as data, checked before they are used.

tiktoken does the counting. Its own loader is not asked: where a file is missing, wrong, or known to
a later tiktoken under another name, it would delete what it finds and wait for a download without
any limit of time. What it is given here are the checked contents of our own files.
"""

from __future__ import annotations

import base64
import ctypes
import hashlib
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tiktoken

#: tiktoken gives up, in a way that would end the process, on a million spaces. A text is counted in
#: pieces, which changes nothing where a piece ends between two words.
PIECE = 50_000
_SEAM = re.compile(r"(?<=[A-Za-z0-9]) (?=[A-Za-z])")
#: How far back from a piece's end such a place is looked for.
_REACH = 2_000

#: Most of a prompt was counted before. So many texts are remembered, by their hash.
_REMEMBERED = 20_000
#: Counting a shorter text takes no longer than looking it up.
_WORTH_REMEMBERING = 60


class Damaged(Exception):
    """A vocabulary is not what it must be, or is not there."""


@dataclass(frozen=True, slots=True)
class _Kind:
    sha256: str
    #: How texts are cut before their pieces are looked up; tests compare it with tiktoken's own.
    pattern: str


_KINDS = {
    "o200k_base": _Kind(
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ),
    "cl100k_base": _Kind(
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+"
        r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    ),
}
#: What else counts ordinary text in the same way.
_SAME_AS = {"o200k_harmony": "o200k_base"}


def kind_of(model: str) -> str | None:
    """The vocabulary of a model, by tiktoken's own table; None for one that it does not know or
    that is not shipped."""
    from tiktoken.model import encoding_name_for_model

    try:
        name = encoding_name_for_model(model)
    except KeyError:
        return None
    name = _SAME_AS.get(name, name)
    return name if name in _KINDS else None


class Vocabulary:
    """One vocabulary in memory. To make it takes a third of a second and some sixty megabytes."""

    def __init__(self, kind: str, read: Callable[[str], bytes] | None = None) -> None:
        """Raises `Damaged`."""
        self._known: dict[int, int] = {}
        self._encoding = _encoding(kind, (read or _shipped)(kind))

    def count(self, text: str) -> int:
        """How many tokens `text` has. What stands for control tokens elsewhere is text here."""
        if len(text) < _WORTH_REMEMBERING:
            return len(self._encoding.encode_ordinary(text))
        key = hash(text)  # of 64 bits, and with a secret: no two texts of ours will share one
        count = self._known.get(key)
        if count is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            count = self._known[key] = self._count(text)
        return count

    def _count(self, text: str) -> int:
        count = begin = 0
        while begin < len(text):
            end = _seam(text, begin)
            count += len(self._encoding.encode_ordinary(text[begin:end]))
            begin = end
        return count


def _seam(text: str, begin: int) -> int:
    """Where the piece that starts at `begin` ends: between two words, if there are any near."""
    end = begin + PIECE
    if end >= len(text):
        return len(text)
    seams = [seam.start() for seam in _SEAM.finditer(text, max(begin + 1, end - _REACH), end)]
    return seams[-1] if seams else end


def _shipped(kind: str) -> bytes:
    file = files("opencraw") / "_data" / "tiktoken" / f"{kind}.tiktoken"
    try:
        return file.read_bytes()
    except OSError as error:
        raise Damaged(f"{file} cannot be read ({error.strerror})") from error


def _encoding(kind: str, content: bytes) -> tiktoken.Encoding:
    if hashlib.sha256(content).hexdigest() != _KINDS[kind].sha256:
        raise Damaged(f"the vocabulary {kind} is not the one that OpenAI published")
    import tiktoken

    ranks = {}
    for line in content.splitlines():
        token, rank = line.split()
        ranks[base64.b64decode(token)] = int(rank)
    # Special tokens only matter to those who want to send them.
    encoding = tiktoken.Encoding(
        kind, pat_str=_KINDS[kind].pattern, mergeable_ranks=ranks, special_tokens={}
    )
    # The counting itself has its own copy; this one is a third of the memory. Where a later
    # tiktoken keeps it elsewhere, it stays.
    if getattr(encoding, "_mergeable_ranks", None) is ranks:
        encoding._mergeable_ranks = {}
    del ranks
    _give_back()
    return encoding


def _give_back() -> None:
    """Let the system have the memory that loading took; only glibc needs to be told."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
