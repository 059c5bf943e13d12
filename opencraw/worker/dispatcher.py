"""Which lane runs next.

Lanes with work stand in one line. A lane that had its turn goes to the end, so a flooded lane costs
the others nothing; a lane whose burst is still coming in steps aside until its window closes. The
wake-ups in this process are hints: a slow poll of the database finds whatever they missed, and
turns that nobody works on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from itertools import islice
from uuid import UUID, uuid4

from opencraw import crashpoints
from opencraw.contract import Draft
from opencraw.errors import Unavailable
from opencraw.events import QueueChanged
from opencraw.queue.modes import Arrival, Start, Wait, next_turn
from opencraw.queue.rules import QueueRules
from opencraw.queue.turns import Lane, Turn
from opencraw.settings import Mode
from opencraw.worker.running import Running, Workshop

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
_MOST_ABANDONED = 500


class Dispatcher:
    """Gives every lane its turns, within one budget."""

    def __init__(
        self,
        workshop: Workshop,
        rules: QueueRules,
        *,
        max_concurrency: int,
        default_model: Callable[[], str],
    ) -> None:
        self._workshop = workshop
        self._turns = workshop.turns
        self.rules = rules
        self._budget = max_concurrency
        self._default_model = default_model
        self._line: dict[UUID, None] = {}
        self._aside: dict[UUID, asyncio.TimerHandle] = {}
        self._waiting: dict[UUID, int] = {}
        #: By session. A lane is entered before its turn is committed, so that the search for
        #: abandoned turns never finds one that is just being started.
        self._active: dict[UUID, Running | None] = {}
        self._starting: dict[UUID, UUID] = {}
        #: Turns that nobody works on, as the poll saw them last, oldest first.
        self._abandoned: list[Turn] = []
        #: What reached a lane while it was being claimed.
        self._arrived_late: dict[UUID, set[str]] = {}
        self._stopped_early: set[UUID] = set()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._closing = False

    # What others may ask and say. None of this waits.

    def waiting(self, session: UUID) -> int:
        """About how many messages of a session wait."""
        return self._waiting.get(session, 0)

    @property
    def turns_running(self) -> int:
        return len(self._active)

    @property
    def messages_waiting(self) -> int:
        return sum(self._waiting.values())

    def draft(self, session: UUID) -> Draft | None:
        running = self._active.get(session)
        return running.draft if running is not None else None

    def arrived(self, session: UUID, rights: str) -> None:
        """A message of somebody with these rights was committed in this session."""
        self._waiting[session] = self._waiting.get(session, 0) + 1
        self.repeated(session, rights)

    def repeated(self, session: UUID, rights: str) -> None:
        """A message that waits was offered again. It may be unknown to us."""
        running = self._active.get(session)
        if running is not None:
            running.spoken_to(rights)
        elif session in self._active:
            self._arrived_late.setdefault(session, set()).add(rights)
        self._look_at(session)

    def withdrawn(self, session: UUID) -> None:
        """A waiting message of this session was taken back."""
        self._took(session, 1)

    def _took(self, session: UUID, count: int) -> None:
        self._waiting[session] = max(0, self._waiting.get(session, 0) - count)

    def mode_changed(self, session: UUID, mode: Mode) -> None:
        running = self._active.get(session)
        if running is not None:
            running.mode = mode

    def stop(self, session: UUID) -> None:
        """End what runs in this session; what waited there was taken back already."""
        self._waiting.pop(session, None)
        running = self._active.get(session)
        if running is not None:
            running.stop()
        elif session in self._active:
            self._stopped_early.add(session)

    def close(self) -> None:
        """Begin no more turns."""
        self._closing = True

    async def drained(self) -> None:
        """Return when no turn runs."""
        while self._active:
            self._idle.clear()
            await self._idle.wait()

    # The work.

    async def run(self) -> None:
        """Dispatch until cancelled. Running turns are then handed over, not ended."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._poll())
            while True:
                await self._wake.wait()
                self._wake.clear()
                while await self._claim(tasks):
                    pass

    async def _poll(self) -> None:
        while True:
            try:
                await self._look_for_work()
            except Unavailable as error:
                log.warning("looking for work: %s", error)
            await asyncio.sleep(POLL_SECONDS)

    async def _look_for_work(self) -> None:
        ours = [each.turn.id for each in self._active.values() if each is not None]
        self._abandoned = list(
            await self._turns.abandoned([*ours, *self._starting.values()], _MOST_ABANDONED)
        )
        if self._abandoned:
            self._wake.set()
        for session in await self._turns.to_be_stopped(ours):
            self.stop(session)
        found = await self._turns.lanes_with_work()
        for session, count in found.items():
            self._waiting.setdefault(session, count)
            if session not in self._aside:
                self._look_at(session)

    def _look_at(self, session: UUID) -> None:
        handle = self._aside.pop(session, None)
        if handle is not None:
            handle.cancel()
        if session not in self._active:
            self._line.setdefault(session)
            self._wake.set()

    async def _claim(self, tasks: asyncio.TaskGroup) -> bool:
        """Start what may start now; True when there may be more to do at once."""
        await self._take_over(tasks)
        free = self._budget - len(self._active)
        if free <= 0 or not self._line or self._closing:
            return False
        sessions = list(islice(self._line, free))
        for session in sessions:
            del self._line[session]
            self._active[session] = None
        try:
            lanes = {lane.session_id: lane for lane in await self._turns.waiting(sessions)}
        except Unavailable as error:
            log.warning("looking at lanes, the poll will do it again: %s", error)
            for session in sessions:
                self._let_go(session)
            return False
        starts = []
        for session in sessions:
            lane = lanes.get(session)
            decision = self._decide(lane) if lane is not None else None
            if isinstance(decision, Start) and lane is not None:
                starts.append(self._start(tasks, lane, decision))
            else:
                self._waiting[session] = len(lane.messages) if lane is not None else 0
                self._let_go(session)
                if isinstance(decision, Wait):
                    self._step_aside(session, decision.seconds)
        await asyncio.gather(*starts)
        return bool(self._line)

    def _let_go(self, session: UUID) -> None:
        """The lane is not ours to run at the moment."""
        del self._active[session]
        if not self._active:
            self._idle.set()
        self._stopped_early.discard(session)
        if self._arrived_late.pop(session, None):
            self._waiting[session] = self._waiting.get(session, 0) + 1
            self._look_at(session)
        elif not self._waiting.get(session):
            self._waiting.pop(session, None)

    def _decide(self, lane: Lane) -> Start | Wait | None:
        mode = self.rules.mode(lane.address.channel, lane.mode)
        window = self.rules.window(lane.address.channel, lane.debounce_ms)
        arrivals = tuple(Arrival(each.id, each.rights, each.age) for each in lane.messages)
        return next_turn(mode, window, arrivals)

    def _step_aside(self, session: UUID, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._aside[session] = loop.call_later(seconds, self._look_at, session)

    async def _start(self, tasks: asyncio.TaskGroup, lane: Lane, start: Start) -> None:
        session = lane.session_id
        newest = next(each for each in lane.messages if each.id == start.takes[-1])
        turn = Turn(
            id=uuid4(),
            session_id=session,
            address=lane.address,
            owner=self._turns.node,
            model=lane.model or self._default_model(),
            correlation_id=newest.correlation_id,
            rights=newest.rights,
        )
        self._starting[session] = turn.id
        try:
            begun = await self._turns.start(turn, lane, start)
        finally:
            del self._starting[session]
        if not begun:
            # Another turn of this lane runs, or somebody took these messages: the poll will tell.
            self._let_go(session)
            return
        crashpoints.reach("claimed_before_run")
        taken = len(start.takes) + len(start.supersedes)
        self._waiting[session] = max(0, len(lane.messages) - taken)
        self._workshop.show(turn, QueueChanged())
        self._launch(tasks, turn, self.rules.mode(lane.address.channel, lane.mode))

    def _launch(self, tasks: asyncio.TaskGroup, turn: Turn, mode: Mode) -> None:
        session = turn.session_id
        if session in self._stopped_early:
            self._stopped_early.discard(session)
            turn.stop_requested = True
        running = Running(self._workshop, turn, mode, lambda count: self._took(session, count))
        self._active[session] = running
        # What waited already when this turn was decided on may be heard, but interrupts nothing.
        if mode == "steer" and self._waiting.get(session):
            running.spoken_to(turn.rights)
        late = self._arrived_late.pop(session, ())
        if late:
            self._waiting[session] = self._waiting.get(session, 0) + 1
        for rights in late:
            running.spoken_to(rights)
        tasks.create_task(self._bring_to_end(running), name=f"turn {turn.id}")

    async def _bring_to_end(self, running: Running) -> None:
        session = running.turn.session_id
        try:
            await running.run()
        except Exception:
            # The turn stays `running` in our name and out of our hands: the next poll takes it
            # over as a new attempt. One turn's trouble must not end the others.
            log.exception("turn %s was given up; it will be taken up again", running.turn.id)
        finally:
            del self._active[session]
            if not self._active:
                self._idle.set()
        if self._waiting.get(session):
            self._look_at(session)
        else:
            self._waiting.pop(session, None)
        if self._line or self._abandoned:
            self._wake.set()

    async def _take_over(self, tasks: asyncio.TaskGroup) -> None:
        """Go on with turns that nobody works on, before any new one: they block their lanes."""
        while self._abandoned and len(self._active) < self._budget and not self._closing:
            turn = self._abandoned.pop(0)
            if turn.session_id in self._active:
                continue
            self._active[turn.session_id] = None
            self._line.pop(turn.session_id, None)
            try:
                session = await self._workshop.sessions.session(turn.session_id)
            except Unavailable as error:
                log.warning("turn %s stays where it is for now: %s", turn.id, error)
                session = None
            if session is None or not await self._turns.take_over(turn):
                self._let_go(turn.session_id)
                continue
            crashpoints.reach("recovery_step")
            log.info("turn %s goes on: attempt %d", turn.id, turn.attempt)
            self._waiting[turn.session_id] = session.waiting
            self._launch(tasks, turn, self.rules.mode(turn.address.channel, session.mode))
