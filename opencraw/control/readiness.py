"""Whether the daemon is fit to work: asked of its parts, never assumed.

A check is an async function that returns what is wrong, or None. Checks run side by side, each
within a time limit: one that hangs is itself what is wrong.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

Check = Callable[[], Awaitable[str | None]]

CHECK_SECONDS = 2.0
#: A flood of probes costs one look per second.
FRESH_SECONDS = 1.0
_log = logging.getLogger(__name__)


async def run_checks(checks: Mapping[str, Check]) -> Mapping[str, str | None]:
    """Ask all checks at once; return name and problem of each. Takes no longer than one may."""
    answers = await asyncio.gather(
        *(asyncio.wait_for(check(), CHECK_SECONDS) for check in checks.values()),
        return_exceptions=True,
    )
    return {name: _problem(name, answer) for name, answer in zip(checks, answers, strict=True)}


class Readiness:
    """Remembers the last look for a moment, so that everybody who asks at once shares one."""

    def __init__(self, look: Callable[[], Awaitable[Mapping[str, str | None]]]) -> None:
        self._look = look
        self._looking = asyncio.Lock()
        self._seen: Mapping[str, str | None] = {}
        self._fresh_until = float("-inf")

    async def checks(self) -> Mapping[str, str | None]:
        """Every check with its problem, or None where all is well; at most a second old."""
        async with self._looking:
            if time.monotonic() >= self._fresh_until:
                # Twice: the checks have a limit of their own, this one is for what surrounds them.
                self._seen = await self._bounded()
                self._fresh_until = time.monotonic() + FRESH_SECONDS
            return self._seen

    async def _bounded(self) -> Mapping[str, str | None]:
        try:
            async with asyncio.timeout(2 * CHECK_SECONDS):
                return await self._look()
        except TimeoutError:
            return {"checks": "did not finish in time"}


def _problem(name: str, answer: str | BaseException | None) -> str | None:
    match answer:
        case TimeoutError():
            return f"no answer within {CHECK_SECONDS:g} seconds"
        case Exception():
            _log.error("The check %s failed", name, exc_info=answer)
            return f"the check itself failed: {type(answer).__name__}"
        case BaseException():
            raise answer
        case _:
            return answer
