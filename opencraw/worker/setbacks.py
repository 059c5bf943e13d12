"""Conversations that could not be summed up."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID


class Setbacks:
    """Remembers how large each was when it was tried. Only this process knows: elsewhere it is
    tried once more, which costs a few model calls and nothing else."""

    #: It is tried again when the conversation has grown by so much.
    GROWTH = 1.25
    MOST = 10_000

    def __init__(self) -> None:
        self._tokens: dict[UUID, int] = {}

    def note(self, session: UUID, tokens: int) -> None:
        """It did not come about at this size."""
        self._tokens.pop(session, None)
        self._tokens[session] = tokens
        if len(self._tokens) > self.MOST:
            del self._tokens[next(iter(self._tokens))]

    def forget(self, session: UUID) -> None:
        """It did come about."""
        self._tokens.pop(session, None)

    def forbid(self, session: UUID, tokens: Callable[[], int]) -> bool:
        """Whether it is too early to try again."""
        known = self._tokens.get(session)
        return known is not None and tokens() < known * self.GROWTH
