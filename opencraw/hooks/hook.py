"""One hook: operator code and the points at which it wants to be called."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from opencraw.hooks.points import Facts, Point, Verdict

OnFailure = Literal["deny", "continue"]

#: A call of operator code. None means that it has no objection.
Call = Callable[[Point, Facts], Awaitable[Verdict | None]]

DEFAULT_SECONDS = 5.0
LONGEST_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Hook:
    """What is called, when, and what follows when it fails."""

    points: frozenset[Point]
    call: Call
    timeout_seconds: float = DEFAULT_SECONDS
    on_failure: OnFailure | None = None

    def denies_when_failing(self, point: Point) -> bool:
        """Whether what is about to happen does not, when this hook cannot say. Unless somebody
        chose: a tool's effect cannot be taken back, whatever else is held up can wait for nobody.
        """
        if self.on_failure is None:
            return point is Point.BEFORE_TOOL_CALL
        return self.on_failure == "deny"


def hook(
    *points: Point,
    timeout_seconds: float = DEFAULT_SECONDS,
    on_failure: OnFailure | None = None,
) -> Callable[[Call], Hook]:
    """Make a hook of an async function, to be called at these points.

    @hook(Point.BEFORE_TOOL_CALL)
    async def no_shell(point: Point, facts: Facts) -> Verdict | None:
        return Denied("no shell today") if facts["tool"] == "shell" else None
    """

    def decorate(function: Call) -> Hook:
        return Hook(frozenset(points), function, timeout_seconds, on_failure)

    return decorate
