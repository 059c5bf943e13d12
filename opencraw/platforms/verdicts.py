"""What an emoji says about an answer."""

from __future__ import annotations

import unicodedata

GOOD = frozenset("👍❤✅")
POOR = frozenset("👎")
#: Skin tones: they say who speaks, not what.
_TONES = range(0x1F3FB, 0x1F400)


def verdict(emoji: str) -> int:
    """1 is good, -1 is poor, 0 says nothing about it."""
    plain = "".join(each for each in emoji if not _is_decoration(each))
    return (plain in GOOD) - (plain in POOR)


def _is_decoration(character: str) -> bool:
    return ord(character) in _TONES or unicodedata.name(character, "").startswith(
        "VARIATION SELECTOR"
    )
