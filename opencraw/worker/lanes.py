"""Lanes in memory: what each is doing, and which of them comes next.

What is known here is a hint; the database has the truth. A lane is in one of five states:

    Idle ──arrival──▶ InLine ──its turn──▶ Claiming ──▶ Working ──▶ InLine or Idle
                        ▲                     │
                        └──── Aside ◀─────────┘  its burst is still coming in

Lanes of a pool with work stand in one line. A lane that had its turn goes to the end, so a flooded
lane costs the others nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from uuid import UUID

from opencraw.queue.inbox import Backlog
from opencraw.queue.pools import Pool
from opencraw.queue.rules import LaneRules
from opencraw.sessions.voice import Voice
from opencraw.worker.running import Running


@dataclass(slots=True)
class Idle:
    """Nobody is known to wait, or the poll will bring it back."""


@dataclass(slots=True)
class InLine:
    """Somebody waits."""


@dataclass(slots=True)
class Aside:
    """Somebody waits whose burst is still coming in; `timer` puts the lane back into the line."""

    timer: asyncio.TimerHandle


@dataclass(slots=True)
class Claiming:
    """The database is being asked. What happens to the lane meanwhile is kept for the turn."""

    #: The turn that is being started or taken over, once it has an id.
    turn: UUID | None = None
    #: Who wrote, one voice per message.
    spoken: list[Voice] = field(default_factory=list)
    stopped: bool = False


@dataclass(slots=True)
class Working:
    """A turn runs; cancelling `task` hands it over."""

    running: Running
    task: asyncio.Task[None]


State = Idle | InLine | Aside | Claiming | Working


@dataclass(slots=True)
class Lane:
    """One session's lane, as far as this process knows it."""

    session: UUID
    #: The rules as they were last read, or those that everybody has.
    rules: LaneRules
    #: Whose budget it uses, and in whose line it stands.
    pool: Pool = Pool.INTERACTIVE
    #: In whose line it stands next.
    wants: Pool = Pool.INTERACTIVE
    state: State = field(default_factory=Idle)
    #: About how many messages wait.
    waiting: int = 0
    #: Grows with everything that happens to `waiting`: what the database was asked before is older.
    changes: int = 0
    #: Messages gave up their places since the last turn began.
    overflowed: bool = False
    #: Has messages give up their places, because too many wait behind the running turn.
    relief: asyncio.Task[None] | None = None
    relieved_at: float = 0.0

    @property
    def is_busy(self) -> bool:
        return isinstance(self.state, Claiming | Working)

    @property
    def known(self) -> int:
        """About how many messages wait, with those that came since the lane was claimed."""
        since = len(self.state.spoken) if isinstance(self.state, Claiming) else 0
        return self.waiting + since

    @property
    def running(self) -> Running | None:
        return self.state.running if isinstance(self.state, Working) else None

    @property
    def has_work(self) -> bool:
        """Whether somebody is to be answered here, as far as is known."""
        return self.waiting > 0 or self.overflowed

    def counts(self, waiting: int) -> None:
        """So many messages wait."""
        self.waiting = max(0, waiting)
        self.changes += 1

    def follow(self, rules: LaneRules) -> None:
        """These rules hold here from now on, for a turn that runs, too."""
        self.rules = rules
        self.changes += 1
        if self.running is not None and self.running.mode != rules.mode:
            self.running.mode = rules.mode
            if self.waiting:
                self.running.spoken_to(self.running.turn.voice)

    def took(self, count: int) -> None:
        """So many messages wait no more."""
        self.counts(self.waiting - count)


class Lineup:
    """All lanes that do something, and the lines in which they stand."""

    def __init__(self, budgets: Mapping[Pool, int]) -> None:
        self._lanes: dict[UUID, Lane] = {}
        self._budgets = budgets
        self._lines: dict[Pool, dict[UUID, None]] = {pool: {} for pool in budgets}
        self._busy: dict[Pool, int] = dict.fromkeys(budgets, 0)

    def __iter__(self) -> Iterator[Lane]:
        return iter(tuple(self._lanes.values()))

    def find(self, session: UUID) -> Lane | None:
        """The lane, if it does something."""
        return self._lanes.get(session)

    def is_busy(self, session: UUID) -> bool:
        """Whether this session's lane has a turn, or is about to get one."""
        lane = self._lanes.get(session)
        return lane is not None and lane.is_busy

    def lane(self, session: UUID, rules: LaneRules) -> Lane:
        """The lane, made if need be."""
        lane = self._lanes.get(session)
        if lane is None:
            lane = self._lanes[session] = Lane(session, rules)
        return lane

    @property
    def busy(self) -> int:
        """How many lanes have a turn, or are about to get one."""
        return sum(self._busy.values())

    @property
    def waiting(self) -> int:
        """About how many messages wait."""
        return sum(lane.waiting for lane in self._lanes.values())

    def free(self, pool: Pool) -> int:
        """How many more turns this pool may run."""
        return self._budgets[pool] - self._busy[pool]

    def has_room(self, pool: Pool) -> bool:
        """Whether all that stand in this pool's line could be claimed now."""
        return self.free(pool) >= len(self._lines[pool])

    def has_next(self) -> bool:
        """Whether a lane could be claimed now."""
        return any(line and self.free(pool) > 0 for pool, line in self._lines.items())

    def stand_in_line(self, lane: Lane) -> None:
        """The lane has work; unless it is busy, it waits for its turn from now on. One that stands
        in line already keeps its place, unless it wants another pool."""
        if lane.is_busy or (isinstance(lane.state, InLine) and lane.pool is lane.wants):
            return
        self._become(lane, InLine())
        lane.pool = lane.wants
        self._lines[lane.pool][lane.session] = None

    def step_aside(self, lane: Lane, timer: asyncio.TimerHandle) -> None:
        """The lane's burst is still coming in."""
        self._become(lane, Aside(timer))

    def claim(self, lane: Lane, pool: Pool) -> Claiming:
        """Take the lane out of its line; it counts as busy in `pool` from now on."""
        assert not lane.is_busy, "a lane is claimed once"
        claiming = Claiming()
        self._become(lane, claiming)
        lane.pool = pool
        self._busy[pool] += 1
        return claiming

    def claim_next(self) -> list[Lane]:
        """Claim as many lanes as may run now, first come first served within each pool."""
        claimed = []
        for pool, line in self._lines.items():
            for session in list(islice(line, max(0, self.free(pool)))):
                lane = self._lanes[session]
                self.claim(lane, pool)
                claimed.append(lane)
        return claimed

    def work(self, lane: Lane, running: Running, task: asyncio.Task[None]) -> None:
        """The claimed lane's turn runs."""
        assert isinstance(lane.state, Claiming), "a turn runs in a lane that was claimed for it"
        lane.counts(lane.waiting + len(lane.state.spoken))
        lane.state = Working(running, task)

    def leave(self, lane: Lane) -> None:
        """The lane does nothing from now on; it is forgotten unless it has work."""
        self._become(lane, Idle())
        if not lane.has_work:
            self._lanes.pop(lane.session, None)

    def take_stock(self, lane: Lane, backlog: Backlog | None) -> None:
        """Believe what the database says of a lane, which is None when nobody waits there."""
        if isinstance(lane.state, Claiming):
            return  # the one who claimed it knows better
        if backlog is not None:
            lane.wants = backlog.pool
        lane.overflowed = backlog is not None and backlog.overflowed > 0
        lane.counts(backlog.waiting if backlog is not None else 0)
        if isinstance(lane.state, Idle):
            self.leave(lane)

    def _become(self, lane: Lane, state: State) -> None:
        """Undo what the lane's state had brought about, and enter the next one."""
        match lane.state:
            case InLine():
                self._lines[lane.pool].pop(lane.session, None)
            case Aside(timer):
                timer.cancel()
            case Claiming(spoken=spoken):
                self._busy[lane.pool] -= 1
                lane.counts(lane.waiting + len(spoken))
            case Working():
                self._busy[lane.pool] -= 1
        lane.state = state
        self._lanes[lane.session] = lane
