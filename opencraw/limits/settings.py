"""The `[limits]` section."""

from __future__ import annotations

from pydantic import Field

from opencraw.settings import Section


class LimitsSettings(Section):
    """How much people may send, and what the models' answers may cost."""

    messages_per_minute: int = Field(default=60, ge=0, le=1_000_000)
    """So many messages of one sender are taken in a minute, commands included (/stop counts for
    itself); 0 is no limit."""

    spend_per_day: float = Field(default=0, ge=0, le=1e9)
    """What the model calls of one agent may cost in a day (UTC), in the unit of the profiles'
    prices; a call that might exceed it is not made. 0 is no cap, and nothing is counted."""
