"""What a text is found by.

Words are folded until what people mean to be the same is the same: case, width, accents, and the
endings of English words. Numbers, addresses and names like `INV-2026-117` are kept whole beside
their parts. Scripts that put no spaces between words are cut into pairs of characters, which needs
no dictionary: Chinese, Japanese, Korean, Thai and their neighbours.

The same folding makes the words of a memory and those of a question, so both must pass through
here: a change of these rules needs a migration that makes the words of all memories anew.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import islice, pairwise

#: Of one memory. A passage of a flush has a few hundred.
MOST_WORDS = 1_200
#: Of one question. Each is looked up by itself.
MOST_ASKED = 16
#: So much of a question is read.
LONGEST_QUESTION = 2_000
#: A longer word is known by its beginning.
LONGEST_WORD = 64

_JOINERS = "@._/:#-"
_MARKS_OF_LATIN = range(0x300, 0x370)
_LETTERS = {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"}
_TOKEN = re.compile(r"[^\s@._/:#-]+(?:[@._/:#-]+[^\s@._/:#-]+)*")
_PART = re.compile(r"[^@._/:#-]+")
#: Thai to Khmer, Hangul's letters, kana and bopomofo, ideographs, Hangul, the supplementary planes.
_UNSPACED = re.compile(
    r"([\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3005-\u312f\u3130-\u318f"
    r"\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff]+)"
)
_IDEOGRAPH = re.compile(r"[\u3005\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
#: Words of this length and more lose their endings; shorter ones have none to spare.
_STEMMED = 4

#: Words that every text has. Words of other languages that are as frequent weigh next to nothing.
STOP_WORDS = frozenset(
    """
    a about after all also am an and any are as at be been before being but by can could did do does
    doing for from get got had has have having he her here hers him his how i if in into is it its
    just know like me might more most my no not of off on or other our ours out over please remember
    same she should so some such tell than that the their them then there these they this those to
    too under until up us very was we were what when where which while who whom whose why will with
    would you your yours don doesn didn isn wasn aren won d ll m re s t ve let
    """.split()
)


def words_of(text: str) -> list[str]:
    """The words of a memory, each once, in the order of the text."""
    return list(islice(dict.fromkeys(_words(text, asked=False)), MOST_WORDS))


def words_asked(question: str) -> list[str]:
    """The words of a question that are worth looking for: of too many the longest, which are the
    rarest."""
    asked = dict.fromkeys(_words(question[:LONGEST_QUESTION], asked=True))
    return sorted(asked, key=len, reverse=True)[:MOST_ASKED]


def _words(text: str, *, asked: bool) -> Iterator[str]:
    for token in _TOKEN.findall(folded(text)):
        parts = _PART.findall(token)
        if len(parts) > 1:
            yield token[:LONGEST_WORD]
        for part in parts:
            for index, run in enumerate(_UNSPACED.split(part)):
                if index % 2:
                    yield from _pairs(run, asked=asked)
                elif run and run not in STOP_WORDS:
                    yield stem(run)[:LONGEST_WORD]


def _pairs(run: str, *, asked: bool) -> Iterator[str]:
    """Pairs of neighbours, and characters. A question of several syllables does not ask for each:
    only an ideograph is a word by itself."""
    yield from map("".join, pairwise(run))
    yield from (each for each in run if not asked or len(run) == 1 or _IDEOGRAPH.match(each))


def folded(text: str) -> str:
    """Lower case, one width, no accents; everything that is no part of a word is a space."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return text.casefold().translate(_FOLDED)


class _Folding(dict[int, str]):
    """What becomes of each character, worked out when it first occurs."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        self[code] = fold = _fold(character)
        return fold


def _fold(character: str) -> str:
    if character in _JOINERS:
        return character
    if character in _LETTERS:
        return _LETTERS[character]
    match unicodedata.category(character)[0]:
        case "L" | "N":
            # Only where an accent is one: taken apart, Korean syllables and Japanese voiced kana
            # would be other words.
            taken_apart = unicodedata.normalize("NFD", character)
            marks = taken_apart[1:]
            accents = marks and all(ord(mark) in _MARKS_OF_LATIN for mark in marks)
            return taken_apart[0] if accents and character != "й" else character
        case "M":
            return "" if ord(character) in _MARKS_OF_LATIN else character
    return " "


_FOLDED = _Folding()


def stem(word: str) -> str:
    """A word without its English ending. Words of other languages may lose theirs too, and do so
    in memories and questions alike."""
    if len(word) < _STEMMED or not (word.isascii() and word.isalpha()):
        return word
    for ending, least, instead in _ENDINGS:
        rest = word.removesuffix(ending)
        if rest != word and len(rest) >= least:
            word = rest + instead if instead is not None else _single(rest)
            break
    return word.removesuffix("e")


#: The first that fits decides: an ending, how much of the word must be left, and what follows then;
#: None makes one of a doubled letter. "Thing" and "need" are whole.
_ENDINGS: tuple[tuple[str, int, str | None], ...] = (
    ("ies", 2, "y"),
    ("ied", 2, "y"),
    ("ss", 2, "ss"),
    ("us", 2, "us"),
    ("s", 3, ""),
    ("ing", 3, None),
    ("eed", 1, "eed"),
    ("ed", 3, None),
    ("ly", 3, ""),
)


def _single(rest: str) -> str:
    """ "planned" is from "plan", and "telling" from "tell"."""
    doubled = rest[-1] == rest[-2] and rest[-1] not in "lsz"
    return rest[:-1] if doubled else rest
