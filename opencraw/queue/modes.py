"""What happens to messages, decided from values alone.

A lane is one session's line of work. `next_turn` answers for a lane in which nothing runs,
`meets_running_turn` for a message that finds a turn running, `heard` for a turn that asks what was
said meanwhile, and `overflow` for a lane in which too many wait.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from opencraw.contract import Rights
from opencraw.queue.rules import LaneRules
from opencraw.sessions.voice import Voice
from opencraw.settings import Mode

#: A text that a platform cut may go on for so long after each of its parts.
PASTE_SECONDS = 1.5
#: What begins anew with each message grows to so many times its length: whoever never stops is
#: answered, too.
MOST_WINDOWS = 10


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message that waits. `age` is in seconds, `size` in characters."""

    id: int
    voice: Voice
    age: float
    sender: str = ""
    size: int = 0


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


def next_turn(rules: LaneRules, arrivals: tuple[Arrival, ...]) -> Start | Wait | None:
    """Decide what an idle lane does next. `arrivals` are in order of acceptance, oldest first."""
    if not arrivals:
        return None
    open_for = _window_open_for(rules, arrivals)
    if open_for > 0:
        return Wait(open_for)
    said = _joined(_of_one_voice(arrivals), rules.splits_at)
    takes = said[0] if rules.mode == "followup" else said[-1]
    unfinished_for = _paste_open_for(rules, arrivals, takes)
    if unfinished_for > 0:
        return Wait(unfinished_for)
    ids = tuple(tuple(arrival.id for arrival in each) for each in said)
    if rules.mode == "followup":
        first = arrivals[0].age
        size = sum(each[0].age >= first - rules.window for each in said)
        return Start(takes=ids[0], debounced=size if size > 1 else 0)
    if rules.mode == "collect":
        return Start(takes=sum(ids, ()), collected=len(ids) if len(ids) > 1 else 0)
    # steer and interrupt: the newest is answered. The others are lines of the transcript that the
    # model reads before it, and are counted as queue_dropped_messages.
    return Start(takes=ids[-1], supersedes=sum(ids[:-1], ()))


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


def heard(mode: Mode, voice: Voice, arrivals: tuple[Arrival, ...]) -> tuple[int, ...]:
    """The waiting messages that a turn of this `voice` takes up at a boundary, in order."""
    if meets_running_turn(mode) is not Meeting.STEER or not arrivals:
        return ()
    burst = _of_one_voice(arrivals)
    return tuple(arrival.id for arrival in burst) if burst[0].voice == voice else ()


@dataclass(frozen=True, slots=True)
class Overflow:
    """Messages that give up their places in a full lane, to be `summarized` or else dropped."""

    ids: tuple[int, ...]
    summarized: bool


def overflow(rules: LaneRules, arrivals: tuple[Arrival, ...]) -> Overflow | None:
    """Who gives up a place when more than `rules.cap` wait: guests before owners, so that nobody
    pushes out those who may do more. With `block` nobody does: the door refuses new messages."""
    over = len(arrivals) - rules.cap
    if over <= 0 or rules.drop == "block":
        return None
    by_age = arrivals[::-1] if rules.drop == "newest" else arrivals
    leaving = sorted(by_age, key=lambda arrival: arrival.voice.rights == Rights.OWNER)[:over]
    return Overflow(tuple(sorted(each.id for each in leaving)), rules.drop == "summarize")


def _window_open_for(rules: LaneRules, arrivals: tuple[Arrival, ...]) -> float:
    """For how many seconds more of the burst may come. A fixed window is opened by the oldest
    message and not prolonged; a sliding one begins anew with each."""
    if rules.debounce_window == "fixed":
        return _left(rules.window, arrivals[0].age)
    return _prolonged(rules.window, arrivals)


def _paste_open_for(
    rules: LaneRules, arrivals: tuple[Arrival, ...], takes: tuple[Arrival, ...]
) -> float:
    """For how many seconds what is to be answered may still go on in a further message."""
    last = takes[-1]
    if last is not arrivals[-1] or not _is_cut(last, rules.splits_at):
        return 0
    return _prolonged(PASTE_SECONDS, takes)


def _prolonged(window: float, arrivals: tuple[Arrival, ...]) -> float:
    oldest, newest = arrivals[0].age, arrivals[-1].age
    return min(_left(window, newest), _left(window * MOST_WINDOWS, oldest))


def _left(window: float, age: float) -> float:
    # Below zero the clock went back: nobody knows how long the window is open, so nobody waits.
    return window - age if 0 <= age < window else 0


def _is_cut(arrival: Arrival, splits_at: int | None) -> bool:
    return splits_at is not None and arrival.size >= splits_at


def _joined(
    arrivals: tuple[Arrival, ...], splits_at: int | None
) -> tuple[tuple[Arrival, ...], ...]:
    """`arrivals` as people meant them: the parts of a text that the platform cut are one."""
    said: list[list[Arrival]] = []
    for arrival in arrivals:
        before = said[-1][-1] if said else None
        if (
            before is not None
            and _is_cut(before, splits_at)
            and before.sender == arrival.sender
            and before.age - arrival.age <= PASTE_SECONDS
        ):
            said[-1].append(arrival)
        else:
            said.append([arrival])
    return tuple(map(tuple, said))


def _of_one_voice(arrivals: tuple[Arrival, ...]) -> tuple[Arrival, ...]:
    """The leading messages that may share a turn."""
    first = arrivals[0].voice
    for position, arrival in enumerate(arrivals):
        if arrival.voice != first:
            return arrivals[:position]
    return arrivals
