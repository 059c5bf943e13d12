"""What happens to messages, decided from values alone.

A lane is one session's line of work. `next_turn` answers for a lane in which nothing runs;
`meets_running_turn` answers for a message that finds a turn running.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from opencraw.settings import Mode


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message that waits. `age` is in seconds; messages of different `rights` never merge."""

    id: int
    rights: str
    age: float


@dataclass(frozen=True, slots=True)
class Start:
    """Begin a turn that answers `takes`; it replaces `supersedes`, which stay in the transcript."""

    takes: tuple[int, ...]
    supersedes: tuple[int, ...] = ()
    collected: int = 0
    debounced: int = 0

    @property
    def dropped(self) -> int:
        return len(self.supersedes)


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do for `seconds`: the window in which a burst collapses is still open."""

    seconds: float


def next_turn(mode: Mode, window: float, arrivals: tuple[Arrival, ...]) -> Start | Wait | None:
    """Decide what an idle lane does next. `arrivals` are in order of acceptance, oldest first.

    The window is fixed: it is opened by the oldest message, lasts `window` seconds and is not
    prolonged by later ones, so a person who keeps typing is answered all the same.
    """
    if not arrivals:
        return None
    age = arrivals[0].age
    # Below zero the clock went back: nobody knows how long the window is open, so nobody waits.
    if 0 <= age < window:
        return Wait(window - age)
    burst = _of_equal_rights(arrivals)
    ids = tuple(arrival.id for arrival in burst)
    if mode == "followup":
        size = sum(arrival.age >= age - window for arrival in burst)
        return Start(takes=ids[:1], debounced=size if size > 1 else 0)
    if mode == "collect":
        return Start(takes=ids, collected=len(ids) if len(ids) > 1 else 0)
    # steer and interrupt: the newest is answered. The others are lines of the transcript that the
    # model reads before it, and are counted as queue_dropped_messages.
    return Start(takes=ids[-1:], supersedes=ids[:-1])


class Meeting(Enum):
    """What a message does to the turn that it finds running."""

    #: The turn hears it at its next tool or model boundary.
    STEER = "steer"
    #: It waits for the turn's end.
    WAIT = "wait"
    #: The turn ends now.
    INTERRUPT = "interrupt"


def meets_running_turn(mode: Mode) -> Meeting:
    """Decide what a message does to a running turn of its lane."""
    if mode == "steer":
        return Meeting.STEER
    return Meeting.INTERRUPT if mode == "interrupt" else Meeting.WAIT


def heard(mode: Mode, rights: str, arrivals: tuple[Arrival, ...]) -> tuple[int, ...]:
    """The waiting messages that a turn started with `rights` takes up at a boundary, in order."""
    if meets_running_turn(mode) is not Meeting.STEER or not arrivals:
        return ()
    burst = _of_equal_rights(arrivals)
    return tuple(arrival.id for arrival in burst) if burst[0].rights == rights else ()


def _of_equal_rights(arrivals: tuple[Arrival, ...]) -> tuple[Arrival, ...]:
    """The leading messages that may share a turn: what one may ask, another may not."""
    first = arrivals[0].rights
    for position, arrival in enumerate(arrivals):
        if arrival.rights != first:
            return arrivals[:position]
    return arrivals
