"""The `[queue]` section."""

from __future__ import annotations

from pydantic import Field

from opencraw.sessions.send_policy import SendRule
from opencraw.settings import (
    LARGEST_CAP,
    LONGEST_DEBOUNCE_MS,
    DebounceWindow,
    Drop,
    Mode,
    Section,
)


class QueueSettings(Section):
    """What happens to messages that meet a busy conversation, and how many turns run at once."""

    mode: Mode = "steer"
    """What a message does to a running turn: steer (the turn hears it), followup (its own later
    turn), collect (all that wait become one turn), interrupt (the turn ends, the newest runs)."""

    max_concurrency: int = Field(default=8, gt=0, le=10_000)
    """How many turns may run at once for people, over all conversations."""

    background_concurrency: int = Field(default=2, gt=0, le=10_000)
    """How many turns may run at once for timers, webhooks and other things that nobody waits for;
    a budget of their own, so that they never delay people."""

    debounce_ms: int = Field(default=250, ge=0, le=LONGEST_DEBOUNCE_MS)
    """How long an idle conversation waits for more of a burst; 0 is off."""

    debounce_window: DebounceWindow = "fixed"
    """Whether that time counts from a burst's first message (fixed) or starts anew with each one
    (sliding, up to ten times as long)."""

    cap: int = Field(default=20, gt=0, le=LARGEST_CAP)
    """How many messages of one conversation may wait for a turn; `drop` says what happens then."""

    drop: Drop = "summarize"
    """When more than `cap` wait: the oldest are summarized for the next turn (summarize), dropped
    (oldest), the newest are dropped (newest), or new ones are refused until there is room (block).
    The conversation is told."""

    overflow_summary_max_messages: int = Field(default=8, gt=0, le=100)
    """How many of the messages that gave up their places a summary quotes, the newest of them."""

    stuck_after_seconds: float = Field(default=90, gt=0, le=86_400)
    """A turn that shows no sign of life for so long is ended with a notice, and its conversation
    goes on. More than any profile's idle_timeout_seconds; tools have their own limit
    (context.tool_max_runtime_seconds)."""

    send_policy: list[SendRule] = []
    """Where the assistant may speak. A rule that denies wins; where some allow, only that is."""
