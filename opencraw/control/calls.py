"""Calls without a credential, as webhooks are: a share of the places is theirs, and no other is.

Whether such a call is signed shows when its body is there; until then anybody may have sent it. So
few bodies are on their way at once, fewer of one peer, and none for long: when there is no place,
whoever has been sending for longest leaves. Somebody who sends a byte now and then holds a place
only until another needs it. A burst is no such thing: its calls are young, and who comes next waits
for a moment.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from opencraw.control.errors import CODES
from opencraw.errors import QueueFull

#: One part in so many of all places is for calls, and of those one part in so many for one peer.
_PART = 4
#: A body that is on its way for longer is slow.
SLOW_SECONDS = 0.5


@dataclass(frozen=True, eq=False, slots=True)
class Call:
    """One call. `give_up` ends it, when its place is needed."""

    peer: str
    give_up: Callable[[], None]
    since: float = field(default_factory=time.monotonic)


class Calls:
    """The places of calls."""

    def __init__(self, in_flight: int) -> None:
        """`in_flight` is how many requests of all kinds may be in work."""
        self._most = max(1, in_flight // _PART)
        self._most_arriving_of_peer = max(1, self._most // _PART)
        self._here: set[Call] = set()
        #: Whose bodies are on their way, the slowest first.
        self._arriving: dict[Call, None] = {}

    def enter(self, call: Call, *, whole: bool) -> None:
        """Take a place, if need be that of a slow one. Raises `QueueFull` when there is none."""
        if not whole:
            own = [each for each in self._arriving if each.peer == call.peer]
            if len(own) >= self._most_arriving_of_peer:
                self._oust_slow(own[0])
        if len(self._here) >= self._most:
            self._oust_slow(next(iter(self._arriving), None))
        self._here.add(call)
        if not whole:
            self._arriving[call] = None

    def arrived(self, call: Call) -> None:
        """The whole body is there: nobody takes the place away any more."""
        self._arriving.pop(call, None)

    def leave(self, call: Call) -> None:
        """The call is answered."""
        self.arrived(call)
        self._here.discard(call)

    def _oust_slow(self, call: Call | None) -> None:
        if call is None or time.monotonic() - call.since < SLOW_SECONDS:
            raise QueueFull(CODES["QUEUE_FULL"].meaning)
        self.leave(call)
        call.give_up()
