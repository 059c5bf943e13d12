"""What the writer of a mail added to it: without the mail that he answers, and without what his
program puts below everything he writes.

Quotes between his own lines stay: they are what his answers are about.
"""

from __future__ import annotations

import re

#: Lines of a quote that stays; of a longer one the last lines are what an answer is about.
LONGEST_QUOTE = 12
#: Lines of a signature.
LONGEST_SIGNATURE = 12
#: An attribution may be broken into so many lines.
_ATTRIBUTION_LINES = 4
_ENDS_ATTRIBUTION = re.compile(
    r"(?:wrote|writes|schrieb|a écrit|écrit|escribió|ha scritto|escreveu|schreef|skrev|napisał"
    r"|写道).{0,80}[:\uff1a]\s*$",
    re.I,
)
_BEGINS_ATTRIBUTION = re.compile(
    r"\s*(?:on|am|le|el|il|em|op|den|dnia|at|\d{1,4}[-./年]).*\d", re.I
)
_ORIGINAL = re.compile(
    r"\s*(?:-{2,}|_{5,})\s*(?:original message|ursprüngliche nachricht|message d'origine"
    r"|mensaje original|messaggio originale)?\s*(?:-{2,}|_*)\s*$",
    re.I,
)
_HEADER_LINE = re.compile(
    r"\s*\*?(?:from|von|de|da|van|sent|gesendet|envoyé|enviado|inviato|verzonden|date|datum|to|an|à"
    r"|para|a|aan|subject|betreff|objet|asunto|oggetto|onderwerp|cc)\s*:\*?\s*\S.*",
    re.I,
)
_FIRST_HEADER = re.compile(r"\s*\*?(?:from|von|de|da|van)\s*:\*?\s*\S.*", re.I)


def own_words(text: str) -> str:
    """What is new in an answer. All of it, where nothing seems to be."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    mine = _without_signature(_without_history(lines))
    said = "\n".join(_with_short_quotes(mine)).strip()
    return said if any(line.strip() and not _is_quote(line) for line in mine) else text.strip()


def unsigned(text: str) -> str:
    """A text without the signature at its end: it is the same in every mail of a person, and says
    nothing that the model should read each time."""
    return "\n".join(_without_signature(text.split("\n"))).rstrip()


def _without_signature(lines: list[str]) -> list[str]:
    """Up to the sign of a signature (RFC 3676). A lot of text below such a line is none, nor is all
    of a mail."""
    end = _end_of_text(lines, len(lines))
    for position in range(max(1, end - LONGEST_SIGNATURE - 1), end):
        # Most programs send "-- ", and some servers take the blank from its end.
        if lines[position] in ("-- ", "--"):
            return lines[:position]
    return lines


def _without_history(lines: list[str]) -> list[str]:
    """Without the mail below that the writer's program put there for him."""
    for position, line in enumerate(lines):
        if _begins_copy(lines, position, line):
            lines = lines[:position]
            break
    end = _end_of_text(lines, len(lines))
    below = end
    while below and (_is_quote(lines[below - 1]) or not lines[below - 1].strip()):
        below -= 1
    if below == end:
        return lines[:end]
    return lines[: _above_attribution(lines, below)]


def _begins_copy(lines: list[str], position: int, line: str) -> bool:
    """The whole mail follows, unmarked, below its header lines: at least three of them."""
    if _ORIGINAL.fullmatch(line) is not None:
        position = _next_text(lines, position + 1)
    if position >= len(lines) or _FIRST_HEADER.fullmatch(lines[position]) is None:
        return False
    head = [each for each in lines[position : position + 8] if each.strip()]
    return sum(_HEADER_LINE.fullmatch(each) is not None for each in head) >= 3


def _next_text(lines: list[str], position: int) -> int:
    while position < len(lines) and not lines[position].strip():
        position += 1
    return position


def _end_of_text(lines: list[str], end: int) -> int:
    while end and not lines[end - 1].strip():
        end -= 1
    return end


def _above_attribution(lines: list[str], below: int) -> int:
    """`below` is where a quote begins; above it may stand who wrote it and when."""
    end = _end_of_text(lines, below)
    for count in range(1, min(_ATTRIBUTION_LINES, end) + 1):
        candidate = " ".join(lines[end - count : end])
        if len(candidate) > 400 or not candidate.rstrip().endswith((":", "\uff1a")):
            break
        if _ENDS_ATTRIBUTION.search(candidate) and _BEGINS_ATTRIBUTION.match(candidate):
            return end - count
        if not lines[end - count].strip():
            break
    only = lines[end - 1] if end else ""
    # Whatever its language: one line with a year or an address, and a colon at its end.
    if len(only) < 200 and re.search(r"(?:\b(?:19|20)\d\d\b|@).*[:\uff1a]\s*$", only):
        return end - 1
    return below


def _with_short_quotes(lines: list[str]) -> list[str]:
    kept: list[str] = []
    quote: list[str] = []
    for line in [*lines, ""]:
        if _is_quote(line):
            quote.append(line)
            continue
        if len(quote) > LONGEST_QUOTE:
            quote = ["> […]", *quote[-LONGEST_QUOTE:]]
        kept += [*quote, line]
        quote = []
    return kept


def _is_quote(line: str) -> bool:
    return line.startswith(">")
