"""Of what a search brought up, the lines that a question is about.

A passage of a conversation holds a dozen lines, and of those that share a topic nearly all say
nothing new about it. So lines are chosen and not passages: those that have most of the question's
words, and among them those that say something that the others do not.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from opencraw.memory.items import Hit, Item
from opencraw.memory.words import words_asked, words_of

#: More lines of one search tell little more.
MOST_LINES = 10
#: A line that goes on for longer is known by its beginning.
LONGEST_LINE = 500

#: What somebody said goes on in lines that are set in.
_NEXT = re.compile(r"\n(?!\s)")


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Lines of one memory, in their order."""

    item: Item
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Line:
    hit: int
    place: int
    text: str
    words: frozenset[str]


def excerpts(
    question: str, hits: Sequence[Hit], most_chars: int, *, known: Collection[str] = ()
) -> Sequence[Excerpt]:
    """What `hits`, best first, say about a question, in at most `most_chars` characters; the memory
    with the best line first. Lines that are `known` already are left out. A memory that shares no
    word with the question, and was found by its meaning, is told from its beginning."""
    asked = set(words_asked(question))
    lines = [line for number, hit in enumerate(hits) for line in _lines(number, hit.item)]
    lines = [line for line in lines if line.text not in known]
    frequency = Counter(word for line in lines for word in line.words)

    def score(line: _Line) -> float:
        met = len(asked & line.words)
        if not met:
            return 0.0
        rest = line.words - asked
        news = sum(math.log((len(lines) + 1) / frequency[word]) for word in rest)
        return met + news / (max(len(rest), 1) * math.log(len(lines) + 1))

    scores = {line: score(line) for line in lines}
    speaking = {line.hit for line in lines if scores[line]}
    # What was found by its meaning alone has no line that is better than its first.
    eligible = [
        line for line in lines if scores[line] or (line.hit not in speaking and not line.place)
    ]
    eligible.sort(key=lambda line: (-scores[line], line.hit, line.place))
    chosen: list[_Line] = []
    room = most_chars
    for line in eligible[:MOST_LINES]:
        if len(line.text) <= room:
            chosen.append(line)
            room -= len(line.text)
    order = dict.fromkeys(line.hit for line in chosen)
    return [Excerpt(hits[number].item, _of(chosen, number)) for number in order]


def _lines(number: int, item: Item) -> Sequence[_Line]:
    texts = (text[:LONGEST_LINE] for text in _NEXT.split(item.text) if text.strip())
    return [
        _Line(number, place, text, frozenset(words_of(text))) for place, text in enumerate(texts)
    ]


def _of(chosen: Sequence[_Line], number: int) -> tuple[str, ...]:
    own = sorted((line for line in chosen if line.hit == number), key=lambda line: line.place)
    return tuple(line.text for line in own)
