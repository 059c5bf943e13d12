"""Which lane runs next: claims lanes, starts their turns, and takes over those of the dead.

Wake-ups, from this process or another, are hints: a slow poll of the database finds whatever they
missed, and turns that nobody works on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from uuid import UUID

from opencraw.contract import Address, Draft
from opencraw.errors import Unavailable
from opencraw.queue import inbox
from opencraw.queue.modes import Wait
from opencraw.queue.pools import Pool
from opencraw.queue.rules import QueueRules
from opencraw.queue.turns import Turn
from opencraw.sessions.choice import QueueChoice
from opencraw.sessions.voice import Voice
from opencraw.worker.beginnings import Beginnings
from opencraw.worker.full_lanes import FullLanes
from opencraw.worker.lanes import Aside, Claiming, Lane, Lineup, Working
from opencraw.worker.orphans import Orphans
from opencraw.worker.running import Running
from opencraw.worker.workshop import Workshop

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0


class Dispatcher:
    """Gives every lane its turns, within the budgets of the pools."""

    def __init__(
        self, workshop: Workshop, rules: QueueRules, *, default_model: Callable[[], str]
    ) -> None:
        self._workshop = workshop
        self._turns = workshop.turns
        self._inbox = workshop.inbox
        self._rules = rules
        self._full_lanes = FullLanes(workshop, rules)
        self._beginnings = Beginnings(workshop, rules, self._full_lanes, default_model)
        self._lanes = Lineup(
            {
                Pool.INTERACTIVE: rules.settings.max_concurrency,
                Pool.BACKGROUND: rules.settings.background_concurrency,
            }
        )
        self._orphans = Orphans(workshop)
        self._tasks: asyncio.TaskGroup | None = None
        self._wake = asyncio.Event()
        self._poll_now = asyncio.Event()
        self._idle = asyncio.Event()
        self._closing = False

    # What others may ask and say. None of this waits.

    def waiting(self, session: UUID) -> int:
        """About how many messages of a session wait."""
        lane = self._lanes.find(session)
        return lane.waiting if lane else 0

    def is_crowded(self, session: UUID) -> bool:
        """Whether more messages of this session wait than may."""
        lane = self._lanes.find(session)
        return lane is not None and lane.waiting > lane.rules.cap

    def refuses(self, session: UUID, channel: str, coming: int) -> int | None:
        """How many messages may wait in this session, if so many do, with those that are `coming`
        in, and no more are taken."""
        lane = self._lanes.find(session)
        rules = lane.rules if lane is not None else self._rules.of(channel)
        waiting = lane.known if lane is not None else 0
        return rules.cap if rules.drop == "block" and waiting + coming >= rules.cap else None

    @property
    def turns_running(self) -> int:
        return self._lanes.busy

    @property
    def messages_waiting(self) -> int:
        return self._lanes.waiting

    def running(self, session: UUID) -> Running | None:
        """The turn that runs for this session in this process, if one does."""
        lane = self._lanes.find(session)
        return lane.running if lane else None

    def draft(self, session: UUID, address: Address) -> Draft | None:
        """What the turn of this session has said so far, if it answers at `address`."""
        running = self.running(session)
        here = running is not None and running.turn.address == address
        return running.draft if running is not None and here else None

    def works_on(self, session: UUID) -> bool:
        """Whether a turn of this session runs here, or is being claimed."""
        return self._lanes.is_busy(session)

    def sees_to(self, session: UUID, origin: str) -> bool:
        """Whether what waits in this session is taken up here as soon as it may be."""
        if self._closing or not self._workshop.node.holds_lease:
            return False
        return self.works_on(session) or self._lanes.has_room(Pool.of(origin))

    def arrived(self, session: UUID, voice: Voice, origin: str) -> None:
        """A message of this voice was committed in this session."""
        lane = self._lane(session, voice.address.channel)
        self._spoken_to(lane, voice, origin, lane.waiting + 1)

    def repeated(self, session: UUID, voice: Voice, origin: str) -> None:
        """A message that waits was offered again. It may be unknown to us."""
        lane = self._lane(session, voice.address.channel)
        self._spoken_to(lane, voice, origin, max(1, lane.waiting))

    def _lane(self, session: UUID, channel: str) -> Lane:
        """The session's lane. One that does something has its rules already."""
        return self._lanes.find(session) or self._lanes.lane(session, self._rules.of(channel))

    def _spoken_to(self, lane: Lane, voice: Voice, origin: str, waiting: int) -> None:
        pool = Pool.of(origin)
        if pool is Pool.INTERACTIVE or not lane.has_work:
            lane.wants = pool
        if isinstance(lane.state, Claiming):
            lane.state.spoken.append(voice)
            return
        lane.counts(waiting)
        if lane.running is not None:
            lane.running.spoken_to(voice)
            self._relieve(lane)
        elif not isinstance(lane.state, Aside) or self._full_lanes.is_due(lane):
            # Aside nothing else changes: its timer will look at all that came.
            self._look_at(lane)

    def withdrawn(self, session: UUID) -> None:
        """A waiting message of this session was taken back."""
        lane = self._lanes.find(session)
        if lane is not None:
            lane.took(1)

    def choice_changed(self, session: UUID, channel: str, choice: QueueChoice) -> None:
        """The people of this session chose how its queue behaves."""
        lane = self._lanes.find(session)
        if lane is None:
            return
        self._choose(lane, channel, choice)
        self._look_at(lane)

    def stop(self, session: UUID) -> None:
        """End what runs in this session; what waited there was taken back already."""
        lane = self._lanes.find(session)
        if lane is None:
            return
        lane.counts(0)
        lane.overflowed = False
        if lane.running is not None:
            lane.running.stop()
        elif isinstance(lane.state, Claiming):
            lane.state.stopped = True

    def look_again(self) -> None:
        """Somebody else let go of work."""
        self._poll_now.set()

    def close(self) -> None:
        """Begin no more turns."""
        self._closing = True

    def hand_over(self) -> None:
        """Let go of all turns that run; whoever finds them goes on."""
        for lane in self._lanes:
            if isinstance(lane.state, Working):
                self._orphans.hand_over(lane.state.running.turn)
                lane.state.task.cancel()
        self._poll_now.set()

    async def drained(self) -> None:
        """Return when no turn runs."""
        while self._lanes.busy:
            self._idle.clear()
            await self._idle.wait()

    # The work.

    async def run(self) -> None:
        """Dispatch until cancelled. Running turns are then handed over, not ended."""
        async with asyncio.TaskGroup() as self._tasks:
            self._tasks.create_task(self._poll())
            while True:
                await self._wake.wait()
                self._wake.clear()
                while await self._claim(self._tasks):
                    pass

    async def _poll(self) -> None:
        while True:
            self._poll_now.clear()
            now = asyncio.get_running_loop().time()
            for running in filter(None, (lane.running for lane in self._lanes)):
                running.end_if_stuck(now)
            try:
                await self._look_for_work()
            except Unavailable as error:
                log.warning("looking for work: %s", error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._poll_now.wait()

    async def _look_for_work(self) -> None:
        ours = [lane.running.turn.id for lane in self._lanes if lane.running is not None]
        claimed = [lane.state.turn for lane in self._lanes if isinstance(lane.state, Claiming)]
        held = [*ours, *filter(None, claimed)]
        await self._orphans.look(held)
        if self._orphans.known:
            self._wake.set()
        stopped = await self._turns.to_be_stopped(ours)
        for running in filter(None, (lane.running for lane in self._lanes)):
            if running.turn.id in stopped:
                running.stop()
        before = {lane.session: lane.changes for lane in self._lanes}
        found = await self._inbox.lanes_with_work()
        for session, backlog in found.items():
            self._lane(session, backlog.channel)
        for lane in self._lanes:
            # What happened to a lane while the database was asked is newer than its answer.
            if lane.changes == before.get(lane.session, 0):
                self._take_stock(lane, found.get(lane.session))
            if lane.session in found:
                self._relieve(lane)
                if not isinstance(lane.state, Aside):
                    self._look_at(lane)

    def _take_stock(self, lane: Lane, backlog: inbox.Backlog | None) -> None:
        known = lane.waiting
        if backlog is not None:
            self._choose(lane, backlog.channel, backlog.choice)
        self._lanes.take_stock(lane, backlog)
        if lane.running is not None and lane.waiting > known:
            # Somebody spoke at another node, and word of it did not reach us.
            lane.running.spoken_to(lane.running.turn.voice)

    def _choose(self, lane: Lane, channel: str, choice: QueueChoice) -> None:
        """Have the lane follow this choice. Where a turn runs, its own channel decides the rest."""
        running = lane.running
        lane.follow(
            self._rules.of(channel if running is None else running.turn.address.channel, choice)
        )

    def _look_at(self, lane: Lane) -> None:
        self._lanes.stand_in_line(lane)
        self._wake.set()

    def _relieve(self, lane: Lane) -> None:
        """See to a lane that grows too long behind its running turn."""
        if lane.running is not None and self._tasks is not None:
            self._full_lanes.watch(lane, self._tasks)

    async def _claim(self, tasks: asyncio.TaskGroup) -> bool:
        """Start what may start now; True when there may be more to do at once."""
        if self._closing or not self._workshop.node.holds_lease:
            return False
        self._take_over(tasks)
        claimed = self._lanes.claim_next()
        if not claimed:
            return False
        try:
            sessions = [lane.session for lane in claimed]
            stored = {each.session_id: each for each in await self._inbox.waiting(sessions)}
        except Unavailable as error:
            log.warning("looking at lanes, the poll will do it again: %s", error)
            for lane in claimed:
                self._let_go(lane)
            return False
        for lane in claimed:
            # Each for itself: what one lane has to write must not hold up the others.
            begin = partial(self._begin, tasks, lane, stored.get(lane.session))
            tasks.create_task(self._contained(lane, begin))
        return self._lanes.has_next()

    async def _contained(self, lane: Lane, claim: Callable[[], Awaitable[None]]) -> None:
        """One lane's trouble must not end the others."""
        try:
            await claim()
        except Exception:
            log.exception("session %s got no turn; the poll tries again in a second", lane.session)
            self._let_go(lane)

    def _let_go(self, lane: Lane) -> None:
        """The lane gets no turn at the moment, or not in the line in which it stood."""
        late = isinstance(lane.state, Claiming) and lane.state.spoken
        self._release(lane)
        if late or (lane.has_work and lane.wants is not lane.pool):
            self._look_at(lane)

    def _release(self, lane: Lane) -> None:
        self._lanes.leave(lane)
        if not self._lanes.busy:
            self._idle.set()

    def _step_aside(self, lane: Lane, seconds: float) -> None:
        self._release(lane)
        timer = asyncio.get_running_loop().call_later(seconds, self._look_at, lane)
        self._lanes.step_aside(lane, timer)

    async def _begin(self, tasks: asyncio.TaskGroup, lane: Lane, stored: inbox.Lane | None) -> None:
        """Give the claimed lane a turn, if it is time for one."""
        match await self._beginnings.begin(lane, stored):
            case Turn() as turn:
                await self._launch(tasks, lane, turn)
            case Wait(seconds):
                self._step_aside(lane, seconds)
            case None:
                self._let_go(lane)

    async def _launch(self, tasks: asyncio.TaskGroup, lane: Lane, turn: Turn) -> None:
        assert isinstance(lane.state, Claiming)
        claiming = lane.state
        if claiming.stopped:
            # Only the database knows whether this turn is about what was stopped, or about what was
            # said after that.
            turn.stop_requested = bool(await self._turns.to_be_stopped([turn.id]))
        if not self._workshop.node.holds_lease:
            # It ended while the database was asked: whoever finds the turn goes on with it.
            self._orphans.hand_over(turn)
            self._let_go(lane)
            return
        running = Running(self._workshop, turn, lane.rules.mode, lane.took)
        # What waited already when this turn was decided on may be heard, but interrupts nothing.
        if running.mode == "steer" and lane.waiting:
            running.spoken_to(turn.voice)
        for voice in claiming.spoken:
            running.spoken_to(voice)
        task = tasks.create_task(self._bring_to_end(lane, running), name=f"turn {turn.id}")
        self._lanes.work(lane, running, task)

    async def _bring_to_end(self, lane: Lane, running: Running) -> None:
        try:
            await running.run()
        except Exception:
            # The turn stays `running` in our name and out of our hands: the next poll takes it
            # over as a new attempt. One turn's trouble must not end the others.
            log.exception("turn %s was given up; it will be taken up again", running.turn.id)
        finally:
            try:
                while lane.relief is not None:
                    # It decides about messages that the next claim would decide about, too.
                    await asyncio.wait([lane.relief])
            finally:
                self._release(lane)
        if lane.has_work:
            self._look_at(lane)
        if self._lanes.has_next() or self._orphans.known:
            self._wake.set()

    def _take_over(self, tasks: asyncio.TaskGroup) -> None:
        """Go on with turns that nobody works on, before any new one: they block their lanes."""
        abandoned, self._orphans.known = self._orphans.known, []
        for turn in abandoned:
            if self._lanes.free(turn.pool) <= 0:
                self._orphans.known.append(turn)
                continue
            lane = self._lane(turn.session_id, turn.address.channel)
            if not lane.is_busy:
                self._lanes.claim(lane, turn.pool).turn = turn.id
                tasks.create_task(self._contained(lane, partial(self._resume, tasks, lane, turn)))

    async def _resume(self, tasks: asyncio.TaskGroup, lane: Lane, turn: Turn) -> None:
        session = await self._orphans.take_over(turn)
        if session is None:
            self._let_go(lane)
            return
        lane.rules = self._rules.of(turn.address.channel, session.choice)
        lane.counts(session.waiting)
        await self._launch(tasks, lane, turn)
