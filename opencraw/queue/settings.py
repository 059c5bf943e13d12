"""The `[queue]` section."""

from __future__ import annotations

from pydantic import Field

from opencraw.settings import Mode, Section


class QueueSettings(Section):
    """What happens to messages that meet a busy conversation, and how many turns run at once."""

    mode: Mode = "steer"
    """What a message does to a running turn: steer (the turn hears it), followup (its own later
    turn), collect (all that wait become one turn), interrupt (the turn ends, the newest runs)."""

    max_concurrency: int = Field(default=8, gt=0, le=10_000)
    """How many turns may run at once, over all conversations."""

    debounce_ms: int = Field(default=250, ge=0, le=60_000)
    """How long an idle conversation waits for more of a burst after its first message; 0 is off."""

    lane_buffer: int = Field(default=64, gt=0, le=100_000)
    """How many messages of one conversation may wait; more are refused with a notice."""
