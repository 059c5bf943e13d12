"""The best of what was found, by its words and by its meaning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

#: Of reciprocal rank fusion: how little the first place counts more than the second.
K = 60
HALF_LIFE = timedelta(days=30)
#: The most that importance, or being new, adds to a match.
IMPORTANCE = 0.05
RECENCY = 0.05


@dataclass(frozen=True, slots=True)
class Found:
    """A memory that one way of searching brought up, and how well it fits there."""

    id: UUID
    score: float
    importance: float
    #: When it was said, or corrected.
    at: datetime


def ranked(
    by_words: Sequence[Found], by_meaning: Sequence[Found], now: datetime
) -> Sequence[tuple[UUID, float]]:
    """Everything that was found, best first.

    Scores of two ways do not compare, ranks do: what both bring up comes first. Where there is one
    way only, its scores say more than ranks. Importance and age settle what is near a tie; they
    never outweigh a clear match.
    """
    if by_words and by_meaning:
        scores = _fused(by_words, by_meaning)
    else:
        scores = {each.id: each.score for each in (*by_words, *by_meaning)}
    found = {each.id: each for each in (*by_words, *by_meaning)}
    return sorted(
        ((each, score * _favour(found[each], now)) for each, score in scores.items()),
        key=lambda each: each[1],
        reverse=True,
    )


def _fused(*ways: Sequence[Found]) -> Mapping[UUID, float]:
    scores: dict[UUID, float] = {}
    for way in ways:
        best_first = sorted(way, key=lambda each: each.score, reverse=True)
        for rank, each in enumerate(best_first, start=1):
            scores[each.id] = scores.get(each.id, 0.0) + 1 / (K + rank)
    return scores


def _favour(found: Found, now: datetime) -> float:
    age = max(now - found.at, timedelta())
    newness: float = 0.5 ** (age / HALF_LIFE)
    return 1 + IMPORTANCE * found.importance + RECENCY * newness
