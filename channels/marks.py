"""What is said about a message that people may see twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

#: Stands before a text that an earlier attempt may have brought already. Plain in every dialect.
RECOVERED = "(Sent again: this message may have arrived before.)"
_BEFORE = f"{RECOVERED}\n\n"


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """One message of a text."""

    text: T
    #: The same, marked as a possible second copy. Whichever is sent, it fits.
    copy: T


def markable(
    markdown: str,
    limit: int,
    cut: Callable[[str, int], Iterable[T]],
    behind: Callable[[str, T], T],
) -> list[Part[T]]:
    """The messages of a text, as `cut` makes them, none longer than `limit` even when it is marked.
    `behind` puts words before one."""
    return [Part(text, behind(_BEFORE, text)) for text in cut(markdown, limit - len(_BEFORE))]


def marked(text: str) -> str:
    """A text that is never cut, marked as a possible second copy."""
    return _BEFORE + text
