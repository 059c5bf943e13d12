"""Calls the hooks of a point, one after the other, and contains whatever goes wrong in them.

Each call is a task of its own: a hook that takes no notice of its end is left to itself, and
nobody waits for it.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from opencraw.hooks.hook import Hook
from opencraw.hooks.points import GO, Denied, Facts, Go, HookFailed, Point, Verdict, checked
from opencraw.telemetry.seldom import Seldom

log = logging.getLogger(__name__)

#: Who is denied something because a hook failed learns no more than this; the log has the rest.
FAILED = "a check that the operator of this assistant asks for could not be made"


@dataclass(slots=True)
class _Known:
    """A hook, and how it fared since the start."""

    name: str
    hook: Hook
    calls: int = 0
    at_work: int = 0
    denied: int = 0
    failures: int = 0
    #: How many of the last calls failed, one after the other.
    failing: int = 0
    last_failure: str = ""
    #: For its own lines in the log: one that makes noise silences no other.
    seldom: Seldom = field(default_factory=Seldom)


class Hooks:
    """All hooks of this daemon, by their names, in the order in which they are called."""

    def __init__(self, hooks: Mapping[str, Hook] | None = None) -> None:
        self._known = [_Known(name, hook) for name, hook in (hooks or {}).items()]
        wanted = {point for each in self._known for point in each.hook.points}
        self._at = {
            point: tuple(each for each in self._known if point in each.hook.points)
            for point in wanted
        }
        self._calls: set[asyncio.Future[Verdict]] = set()

    def at(self, point: Point) -> bool:
        """Whether anybody listens. Where nobody does, nothing needs to be made for them."""
        return point in self._at

    async def tell(self, point: Point, facts: Facts) -> None:
        """Let the hooks of this point look on. Returns when all have, or their time is over."""
        for each in self._at.get(point, ()):
            await self._call(each, point, facts, each.hook.timeout_seconds)

    async def ask(self, point: Point, facts: Facts, *, within: float = math.inf) -> Verdict:
        """What the hooks of this point say, heard within so many seconds altogether. Each sees what
        those before it changed; the first that denies has the last word."""
        clock = asyncio.get_running_loop().time
        until = clock() + within
        changes: dict[str, object] = {}
        for each in self._at.get(point, ()):
            seconds = min(each.hook.timeout_seconds, until - clock())
            verdict = await self._call(each, point, {**facts, **changes}, seconds)
            if isinstance(verdict, Denied):
                return verdict
            changes.update(verdict.changes)
        return Go(changes)

    def status(self) -> Sequence[Mapping[str, object]]:
        """How each hook fares, for the operator."""
        return [
            {
                "name": each.name,
                "points": [point for point in Point if point in each.hook.points],
                "calls": each.calls,
                "at_work": each.at_work,
                "denied": each.denied,
                "failures": each.failures,
                "last_failure": each.last_failure or None,
            }
            for each in self._known
        ]

    def problems(self) -> Mapping[str, str]:
        """The hooks that do not work at the moment, each with what happened last."""
        return {
            f"hook {each.name}": f"failed {_times(each.failing)}: {each.last_failure}"
            for each in self._known
            if each.failing
        }

    async def _call(self, each: _Known, point: Point, facts: Facts, seconds: float) -> Verdict:
        each.calls += 1
        each.at_work += 1
        try:
            verdict = await self._heard(each.hook, point, facts, seconds)
        except Exception as error:  # noqa: BLE001 - operator code may raise anything; it is counted
            self._failed(each, point, error)
            return Denied(FAILED) if each.hook.denies_when_failing(point) else GO
        finally:
            each.at_work -= 1
        each.failing = 0
        if isinstance(verdict, Denied):
            each.denied += 1
            if each.seldom.may_be_told():
                log.info("hook %s denied %s: %s%s", each.name, point, verdict.reason,
                         each.seldom.untold())  # fmt: skip
        return verdict

    async def _heard(self, hook: Hook, point: Point, facts: Facts, seconds: float) -> Verdict:
        """One hook's verdict. Raises what it raises, and `HookFailed` when its time is over."""
        call = asyncio.ensure_future(_answer(hook, point, facts))
        self._calls.add(call)
        call.add_done_callback(self._over)
        try:
            await asyncio.wait([call], timeout=max(seconds, 0))
        finally:
            call.cancel()
        if not call.done():
            raise HookFailed(f"it did not answer within {seconds:.3g} s")
        if call.cancelled():
            raise HookFailed("it cancelled itself")
        return call.result()

    def _over(self, call: asyncio.Future[Verdict]) -> None:
        self._calls.discard(call)
        if not call.cancelled():
            call.exception()  # whoever waited for it has it, or waits no more

    def _failed(self, each: _Known, point: Point, error: Exception) -> None:
        each.failures += 1
        each.failing += 1
        foreseen = isinstance(error, HookFailed)
        each.last_failure = str(error) if foreseen else f"{type(error).__name__}: {error}"
        follows = "it is denied" if each.hook.denies_when_failing(point) else "it goes on without"
        if each.seldom.may_be_told():
            log.error("hook %s failed at %s, and %s: %s%s", each.name, point, follows,
                      each.last_failure, each.seldom.untold(),
                      exc_info=None if foreseen else error)  # fmt: skip


async def _answer(hook: Hook, point: Point, facts: Facts) -> Verdict:
    """Call a hook with facts of its own: what it does to them concerns nobody."""
    try:
        return checked(point, await hook.call(point, msgspec.to_builtins(facts)))
    except SystemExit as error:
        # Left alone, it would end the daemon.
        raise HookFailed("it tried to end the process") from error


def _times(failing: int) -> str:
    return "at its last call" if failing == 1 else f"{failing:,} times in a row"
