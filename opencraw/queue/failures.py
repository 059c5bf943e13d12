"""Why a turn failed, as its row has it: one value, of which a text is kept."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from opencraw.errors import FailureKind


class Fault(StrEnum):
    """Why a turn failed where it was not for its model."""

    #: It showed no sign of life.
    STUCK = "stuck"
    #: Its process died too often while it worked on it.
    DEATHS = "deaths"
    #: Something in OpenCraw went wrong.
    INTERNAL = "internal"


_KINDS: dict[str, FailureKind | Fault] = {kind.value: kind for kind in (*FailureKind, *Fault)}


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong with a turn, and what exactly."""

    kind: FailureKind | Fault
    detail: str = ""

    @property
    def text(self) -> str:
        """What is kept of it; `parse` reads it."""
        return f"{self.kind}: {self.detail}" if self.detail else self.kind.value

    @classmethod
    def parse(cls, text: str) -> Self:
        """The failure of which this is the text. What another version of OpenCraw wrote, and this
        one does not know, is internal to it."""
        name, _, detail = text.partition(": ")
        kind = _KINDS.get(name)
        return cls(Fault.INTERNAL, text) if kind is None else cls(kind, detail)
