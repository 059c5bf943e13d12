"""How fast a platform may be spoken to: so many calls per second, after a burst, and not at all
while it asks for a pause."""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from email.utils import parsedate_to_datetime

from opencraw.contract import LONGEST_WISH


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


def wish(said: object, *, now: float | None = None) -> float | None:
    """For how many seconds a platform wants to be left alone, at most an hour: it says a number, or
    a date as in `Retry-After`. None where what it says is neither."""
    seconds = _number(said)
    if seconds is None and isinstance(said, str):
        try:
            until = parsedate_to_datetime(said).timestamp()
        except (ValueError, OverflowError):
            return None
        seconds = until - (time.time() if now is None else now)
    return None if seconds is None else _bounded(seconds)


def wish_until(said: object, *, now: float | None = None) -> float | None:
    """The same from the time in milliseconds since 1970 at which it may be spoken to again."""
    until = _number(said)
    if until is None:
        return None
    return _bounded(until / 1000 - (time.time() if now is None else now))


def _number(said: object) -> float | None:
    if not isinstance(said, str | int | float):
        return None
    try:
        number = float(said)
    except (ValueError, OverflowError):
        return None
    return None if math.isnan(number) else number


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), LONGEST_WISH)
