"""Where a text is cut into messages: between paragraphs if that can be, or else lines, sentences,
words, and at last what people take for one character. Never within that."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator

#: Measures the text from one place to another, as the platform counts it when it is written down.
Size = Callable[[int, int], int]

_ZERO_WIDTH_JOINER = "\u200d"
_FLAGS = range(0x1F1E6, 0x1F1FF + 1)
_SKIN_TONES = range(0x1F3FB, 0x1F3FF + 1)
_TAGS = range(0xE0020, 0xE007F + 1)
#: Belong to the character before them, though they are letters by their category.
_TRAILING = frozenset("\u200c\u0e33\u0eb3\uff9e\uff9f")
_SENTENCE_ENDS = frozenset(".!?…。！？")
#: Hangul letters that join to one syllable.
_LEADING = range(0x1100, 0x115F + 1)
_VOWELS = range(0x1160, 0x11A7 + 1)
_FINALS = range(0x11A8, 0x11FF + 1)
_SYLLABLES = range(0xAC00, 0xD7A3 + 1)
#: Characters that have no looks at all.
_BLANK = frozenset("\u2800\u3164\u115f\u1160\uffa0")


def visible(text: str) -> bool:
    """Whether there is anything to see; platforms refuse messages without."""
    return any(
        not character.isspace()
        and character not in _BLANK
        and unicodedata.category(character) not in ("Cf", "Cc")
        for character in text
    )


def is_boundary(text: str, place: int, begin: int = 0) -> bool:
    """Whether a text may be cut before the character at `place`; that it may be cut at `begin` is
    known."""
    if not 0 < place < len(text):
        return True
    before, after = text[place - 1], text[place]
    if before < "\u0300" and after < "\u0300":
        return not (before == "\r" and after == "\n")
    return not (
        before == _ZERO_WIDTH_JOINER
        or _belongs_to_what_is_before(after)
        or _one_syllable(ord(before), ord(after))
        or (ord(after) in _FLAGS and _flags_between(text, begin, place) % 2 == 1)
    )


def _belongs_to_what_is_before(character: str) -> bool:
    code = ord(character)
    return (
        unicodedata.category(character) in ("Mn", "Me", "Mc")
        or character == _ZERO_WIDTH_JOINER
        or character in _TRAILING
        or code in _SKIN_TONES
        or code in _TAGS
    )


def _one_syllable(before: int, after: int) -> bool:
    if before in _LEADING:
        return after in _LEADING or after in _VOWELS or after in _SYLLABLES
    open_syllable = before in _SYLLABLES and (before - _SYLLABLES.start) % 28 == 0
    if before in _VOWELS or open_syllable:
        return after in _VOWELS or after in _FINALS
    return (before in _FINALS or before in _SYLLABLES) and after in _FINALS


def _flags_between(text: str, begin: int, end: int) -> int:
    """How many halves of flags stand in a row before `end`."""
    place = end
    while place > begin and ord(text[place - 1]) in _FLAGS:
        place -= 1
    return end - place


def cuts(text: str, limit: int, size: Size) -> Iterator[tuple[int, int]]:
    """Return the pieces of a text, from where to where, none of them larger than `limit`. White
    space at a cut belongs to neither side, except the indentation of the line that follows."""
    start = 0
    while start < len(text):
        rest = len(text)
        end = rest if _fits(start, rest, limit, size) else _cut(text, start, limit, size)
        if visible(text[start:end]):
            yield start, _without_space(text, start, end)
        start = _next_line(text, end)


def _fits(start: int, end: int, limit: int, size: Size) -> bool:
    # A character takes at least one of whatever is counted.
    return end - start <= limit and size(start, end) <= limit


def _cut(text: str, start: int, limit: int, size: Size) -> int:
    furthest = _furthest(text, start, limit, size)
    for enough, before in _PREFERRED:
        end = before(text, start, furthest)
        # What is written down may be longer by what now ends earlier.
        if end - start >= (furthest - start) * enough and _fits(start, end, limit, size):
            return end
    return furthest


def _furthest(text: str, start: int, limit: int, size: Size) -> int:
    """The last place where the text may be cut, and at least one character further on."""
    low = high = min(start + limit, len(text))
    if size(start, high) > limit:
        low = _furthest_that_fits(start, high, limit, size)
    end = low
    while end > start and not (is_boundary(text, end, start) and size(start, end) <= limit):
        end -= 1
    # One character larger than a message: it is cut after all.
    return end if end > start else max(low, start + 1)


def _furthest_that_fits(start: int, beyond: int, limit: int, size: Size) -> int:
    """Between `start`, which fits, and `beyond`, which does not. Sizes grow evenly as a rule, so
    every other guess follows them; the rest halve what is left."""
    low, high = start, beyond
    guess, follows = start + (beyond - start) * limit // size(start, beyond), False
    while high - low > 1:
        guess = min(max(guess, low + 1), high - 1)
        measured = size(start, guess)
        if measured <= limit:
            low = guess
        else:
            high = guess
        even = start + (guess - start) * limit // max(measured, 1)
        guess = even if follows else (low + high) // 2
        follows = not follows
    return low


def _after_paragraph(text: str, start: int, end: int) -> int:
    return max(start, text.rfind("\n\n", start, end + 2))


def _after_line(text: str, start: int, end: int) -> int:
    return max(start, text.rfind("\n", start, end + 1))


def _after_sentence(text: str, start: int, end: int) -> int:
    for place in range(min(end, len(text) - 1), start, -1):
        if text[place].isspace() and text[place - 1] in _SENTENCE_ENDS:
            return place
        if text[place - 1] in "。！？":
            return place
    return start


def _after_word(text: str, start: int, end: int) -> int:
    for place in range(min(end, len(text) - 1), start, -1):
        if text[place].isspace() and is_boundary(text, place, start):
            return place
    return start


#: How full a message must be for a cut of this kind, and where it is.
_PREFERRED = (
    (0.5, _after_paragraph),
    (0.5, _after_line),
    (0.5, _after_sentence),
    (0.1, _after_word),
)


def _without_space(text: str, start: int, end: int) -> int:
    while end > start and text[end - 1].isspace():
        end -= 1
    return end


def _next_line(text: str, place: int) -> int:
    """Where the next piece begins: behind the white space of the cut, at the beginning of a line if
    there is one."""
    begin = place
    while begin < len(text) and text[begin].isspace():
        begin += 1
    line = text.rfind("\n", place, begin)
    return line + 1 if line >= 0 and begin < len(text) else begin
