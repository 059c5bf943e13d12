"""Ends what two programs could tell each other for ever. In memory: a loop is over when we are."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from opencraw.contract import Address

MOST_EVENTS = 20
WITHIN_SECONDS = 60.0
SILENCE_SECONDS = 60.0
#: Whoever comes under more names than this makes us forget the oldest ones.
MOST_REMEMBERED = 1024


@dataclass(slots=True)
class _Record:
    events: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_EVENTS))
    silent_until: float = 0.0


class Loops:
    """Counts what programs say, each by itself in each chat."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._records: OrderedDict[tuple[str, str, str, str], _Record] = OrderedDict()

    def hears(self, address: Address, sender: str) -> bool:
        """Count one event. False for one too many, and for all that come within the silence."""
        now = self._clock()
        key = (address.channel, address.account, address.chat, sender)
        record = self._records.setdefault(key, _Record())
        self._records.move_to_end(key)
        if len(self._records) > MOST_REMEMBERED:
            self._records.popitem(last=False)
        if now < record.silent_until:
            return False
        full = len(record.events) == MOST_EVENTS
        if full and now - record.events[0] < WITHIN_SECONDS:
            record.events.clear()
            record.silent_until = now + SILENCE_SECONDS
            return False
        record.events.append(now)
        return True
