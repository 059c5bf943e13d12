"""What must be told letter by letter: addresses, codes, numbers, dates.

A summary that changes one letter of them is worthless there, and models do. Texts are split into
words first and each word is looked at by itself, so that no text, however made, takes long.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

#: A longer word names nothing that anybody repeats.
LONGEST = 200

_WORDS = re.compile(
    r"""https?://[^\s<>"'`|\\^{}\[\]，。、）」]+"""
    r"|\+\d[\d ()/-]{6,18}\d"
    r"|[A-Za-z0-9_@:/.~+%#?&=$*!\\-]+"
)
_BEFORE, _AFTER = ".,:;!?*#&=%$-_", ".,:;!?*"
_KINDS = tuple(
    re.compile(kind, re.ASCII)
    for kind in (
        r"https?://.{3,}",
        r"\+\d[\d ()/-]+",
        r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+",
        r"~?(?:/[\w.@+%~-]+){2,}/?",
        r"(?:\.{1,2}|~|[\w.@+-]+)(?:/[\w.@+-]+)*/[\w.@+-]*\.\w{1,8}",
        r"[A-Za-z]:\\[\w\\.~-]+",
        r"\d{4}-\d\d?-\d\d?(?:T[\d:.]+Z?)?",
        r"\d{1,2}[./]\d{1,2}[./]\d{2,4}",
        r"v\d+(?:\.\d+)+[\w.-]*|\d+(?:\.\d+){2,}[\w.-]*",
        r"\d{5,}",
    )
)
#: Letters and digits mixed, as in LIN-42, 3f2a9c1 or X7K9Q.
_CODE = re.compile(r"[A-Za-z0-9]+(?:[-_.:#][A-Za-z0-9]+)*", re.ASCII)
_LEAST_CODE = 4
#: 25th, 10am, 300ms: numbers with their units.
_MEASURE = re.compile(r"\d+(?:[.:]\d+)?[A-Za-z]{1,3}", re.ASCII)


def identifiers(text: str) -> Iterable[str]:
    """The identifiers in a text, as they come."""
    for word in _WORDS.findall(text):
        found = word.lstrip(_BEFORE).rstrip(_AFTER)
        if found.endswith(")") and "(" not in found:
            found = found.rstrip(_AFTER + ")")
        if len(found) <= LONGEST and _is_identifier(found):
            yield found


def _is_identifier(word: str) -> bool:
    if word.isalpha():
        return False
    if any(kind.fullmatch(word) for kind in _KINDS):
        return True
    return (
        len(word) >= _LEAST_CODE
        and any(each.isalpha() for each in word)
        and any(each.isdigit() for each in word)
        and _CODE.fullmatch(word) is not None
        and _MEASURE.fullmatch(word) is None
    )
