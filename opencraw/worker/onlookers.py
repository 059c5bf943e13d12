"""What hooks are told of a turn's beginning, and of its end."""

from __future__ import annotations

import msgspec

from opencraw.hooks import Hooks, Point
from opencraw.model import Usage
from opencraw.queue.turns import Settlement, Turn


async def tell_started(hooks: Hooks, turn: Turn) -> None:
    """An attempt at a turn begins."""
    if hooks.at(Point.TURN_STARTED):
        facts = {**turn.asker.facts, "attempt": turn.attempt, "model": turn.model}
        await hooks.tell(Point.TURN_STARTED, facts)


async def tell_ended(
    hooks: Hooks, turn: Turn, settlement: Settlement, usage: Usage, seconds: float
) -> None:
    """A turn is settled; `usage` and `seconds` are what its last attempt took."""
    if hooks.at(Point.TURN_ENDED):
        failure = settlement.failure
        facts = {
            **turn.asker.facts,
            "attempt": turn.attempt,
            "model": turn.model,
            "state": settlement.state,
            "failure": failure.kind if failure is not None else None,
            "seconds": round(seconds, 3),
            "usage": msgspec.to_builtins(usage),
            "tools": list(settlement.tools),
            "size": len(settlement.reply),
            "text": settlement.reply,
        }
        await hooks.tell(Point.TURN_ENDED, facts)
