"""Whose memory a conversation belongs in, part by part.

Who made it necessary to keep something does not matter: a line belongs in the memory of those for
whom its own turn worked. Several people may share a conversation, machines may speak in it, too,
and nobody is told later what another one said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from opencraw.context.flush import Passages, passages_of_each
from opencraw.memory.scopes import Scopes, may_learn, scopes_of
from opencraw.sessions.asker import Asker
from opencraw.sessions.identity import Links
from opencraw.sessions.keeping import LeftLine
from opencraw.sessions.transcript import Entry


@dataclass(frozen=True, slots=True)
class Part:
    """Lines in a row that belong in the same memory; None is nobody's."""

    scopes: Scopes | None
    #: For whom the first of them was said.
    asker: Asker
    entries: tuple[Entry, ...]

    @property
    def through(self) -> int:
        return self.entries[-1].seq


def parts(lines: Sequence[LeftLine], links: Links) -> tuple[Part, ...]:
    """A conversation in parts, each for one memory."""

    def scopes(line: LeftLine) -> Scopes | None:
        return scopes_of(line.asker, links) if may_learn(line.asker) else None

    grouped = [(each, list(group)) for each, group in groupby(lines, scopes)]
    return tuple(
        Part(each, group[0].asker, tuple(line.entry for line in group)) for each, group in grouped
    )


def by_memory(found: Sequence[Part]) -> dict[Scopes, list[Part]]:
    """The parts of each memory, in their order. What is nobody's is left out."""
    shares: dict[Scopes, list[Part]] = {}
    for part in found:
        if part.scopes is not None:
            shares.setdefault(part.scopes, []).append(part)
    return shares


def passages_of_parts(found: Sequence[Part], max_chars: int) -> dict[int, Passages]:
    """What is kept of each part, word for word, by the number of its last line: of all parts of one
    memory together at most `max_chars` characters."""
    kept: dict[int, Passages] = {}
    for share in by_memory(found).values():
        texts = passages_of_each([part.entries for part in share], max_chars)
        kept |= {part.through: each for part, each in zip(share, texts, strict=True)}
    return kept
