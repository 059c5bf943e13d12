"""Work that shares a budget of turns."""

from __future__ import annotations

from enum import StrEnum

from opencraw.contract import PEOPLE


class Pool(StrEnum):
    """`interactive`: a person waits for it. `background`: nobody does; it must not delay people."""

    INTERACTIVE = "interactive"
    BACKGROUND = "background"

    @classmethod
    def of(cls, *origins: str) -> Pool:
        """The pool of a lane in which messages of these origins wait: one person is enough."""
        return cls.BACKGROUND if PEOPLE.isdisjoint(origins) else cls.INTERACTIVE
