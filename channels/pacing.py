"""How fast a platform may be spoken to: so many calls per second, after a burst, and not at all
while it asks for a pause."""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable

#: Whatever a platform wishes, after so long it is spoken to again.
LONGEST_WISH = 3600.0


class Pace:
    """The pace of one bucket. Whoever waits goes in the order of asking."""

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second = per_second
        self._burst = float(burst)
        self._tokens = float(burst)
        self._counted_at = time.monotonic()
        self._held_until = self._counted_at
        self._queue = asyncio.Lock()

    async def wait(self) -> None:
        """Return when one more call may be made, and count it."""
        async with self._queue:
            # While we sleep the platform may ask for a longer pause.
            while not self._take():  # noqa: ASYNC110 - time is all that is waited for
                await asyncio.sleep(self._short_of())

    def ready(self) -> bool:
        """Whether a call may be made at once; if so it is counted. Never overtakes who waits."""
        return not self._queue.locked() and self._take()

    def hold(self, seconds: float) -> None:
        """The platform asked for a pause: nobody goes on before it is over."""
        self._held_until = max(self._held_until, time.monotonic() + min(seconds, LONGEST_WISH))

    def _take(self) -> bool:
        if self._short_of() > 0:
            return False
        self._tokens -= 1
        return True

    def _short_of(self) -> float:
        """For how many seconds no call may be made."""
        now = time.monotonic()
        grown = (now - self._counted_at) * self._per_second
        self._tokens = min(self._burst, self._tokens + grown)
        self._counted_at = now
        until_one = (1 - self._tokens) / self._per_second
        return max(self._held_until - now, until_one, 0.0)


class Paces:
    """One pace per chat. Of more than `most`, the one that was quiet for longest is forgotten."""

    def __init__(self, make: Callable[[], Pace], most: int = 10_000) -> None:
        self._make = make
        self._most = most
        self._paces: OrderedDict[str, Pace] = OrderedDict()

    def of(self, chat: str) -> Pace:
        """The pace of one chat."""
        pace = self._paces.get(chat)
        if pace is None:
            pace = self._paces[chat] = self._make()
            if len(self._paces) > self._most:
                self._paces.popitem(last=False)
        self._paces.move_to_end(chat)
        return pace


def wish(said: object) -> float | None:
    """For how many seconds a platform wants to be left alone, at most an hour; None where what it
    says is no number."""
    if not isinstance(said, str | int | float):
        return None
    try:
        seconds = float(said)
    except (ValueError, OverflowError):
        return None
    return None if math.isnan(seconds) else min(max(seconds, 0.0), LONGEST_WISH)
