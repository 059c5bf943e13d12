"""How often somebody may name a code that nobody was given. In memory, each node by itself: a code
has forty bits and lives for an hour."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from opencraw.errors import SlowDown

WRONG_CODES = 5
WITHIN_SECONDS = 300.0
LOCKED_SECONDS = 300.0
MOST_REMEMBERED = 1024


@dataclass(slots=True)
class _Record:
    wrong: list[float] = field(default_factory=list)
    locked_until: float = 0.0


class Guesses:
    """Counts wrong codes by whoever named them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def check(self, by: str) -> None:
        """Raise `SlowDown` while somebody is locked out."""
        record = self._records.get(by)
        left = record.locked_until - self._clock() if record else 0.0
        if left > 0:
            raise SlowDown(
                f"Too many wrong codes; no code is looked at for {max(1, round(left))} s. Nothing "
                "was changed. `opencraw pairing list` shows the codes that are open.",
                retry_after=left,
            )

    def wrong(self, by: str) -> None:
        """Count a wrong code."""
        now = self._clock()
        record = self._records.setdefault(by, _Record())
        self._records.move_to_end(by)
        if len(self._records) > MOST_REMEMBERED:
            self._records.popitem(last=False)
        record.wrong = [at for at in record.wrong if now - at < WITHIN_SECONDS]
        record.wrong.append(now)
        if len(record.wrong) >= WRONG_CODES:
            record.wrong.clear()
            record.locked_until = now + LOCKED_SECONDS
