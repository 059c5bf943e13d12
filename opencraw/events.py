"""What a turn shows while it runs. Everything here may be lost: the transcript has the truth.

A draft is the text a turn has produced so far. Deltas name the place where they begin, counted in
UTF-16 code units as JavaScript and most chat platforms count, so that applying one twice or after
a gap is harmless: cut the draft at `offset`, then append.

Events are tagged with their names: another process may be the one that shows them.
"""

from __future__ import annotations

from typing import Literal
from uuid import UUID

import msgspec


class TurnStarted(msgspec.Struct, frozen=True, tag=True):
    """An attempt at a turn begins. A higher attempt replaces what an earlier one had shown."""

    turn_id: UUID
    attempt: int


class DraftGrew(msgspec.Struct, frozen=True, tag=True):
    """More text of a running turn, beginning at `offset`."""

    turn_id: UUID
    attempt: int
    offset: int
    text: str


ToolState = Literal["started", "finished", "failed", "cancelled"]


class ToolShown(msgspec.Struct, frozen=True, tag=True):
    """A tool call of a running turn changed its state."""

    turn_id: UUID
    attempt: int
    call_id: str
    name: str
    state: ToolState
    #: What was asked or answered, shortened for people.
    summary: str


class TurnEnded(msgspec.Struct, frozen=True, tag=True):
    """An attempt at a turn is over; what the turn said arrives as a delivery."""

    turn_id: UUID
    attempt: int
    outcome: Literal["done", "interrupted", "failed"]


class QueueChanged(msgspec.Struct, frozen=True, tag=True):
    """Messages of this conversation began or ceased to wait."""


class LinesAdded(msgspec.Struct, frozen=True, tag=True):
    """The transcript of this conversation gained a line that another process delivers."""


Event = TurnStarted | DraftGrew | ToolShown | TurnEnded | QueueChanged | LinesAdded


def utf16_length(text: str) -> int:
    """The length of `text` in UTF-16 code units."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2
