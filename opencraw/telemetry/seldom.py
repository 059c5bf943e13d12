"""Lines that strangers cause: so many a second are worth the log's space."""

from __future__ import annotations

import time
from collections.abc import Callable

PER_SECOND = 10


class Seldom:
    """Tells what may be logged, and how much was not."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._second = 0
        self._told = 0
        self._untold = 0

    def may_be_told(self) -> bool:
        """Whether one more line may be written in this second."""
        second = int(self._clock())
        if second != self._second:
            self._second, self._told = second, 0
        self._told += 1
        self._untold += self._told > PER_SECOND
        return self._told <= PER_SECOND

    def untold(self) -> str:
        """What to add to a line, if others before it were left out."""
        untold, self._untold = self._untold, 0
        return f" ({untold:,} more like this were not logged)" if untold else ""
