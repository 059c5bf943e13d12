"""The lines in which lanes stand, against a model that keeps them as plain lists."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, cast
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from opencraw.queue.inbox import Backlog
from opencraw.queue.pools import Pool
from opencraw.queue.rules import LaneRules
from opencraw.worker.lanes import Aside, Claiming, Idle, InLine, Lane, Lineup, Working
from opencraw.worker.running import Running
from tests.fixtures.core import voice

BUDGETS = {Pool.INTERACTIVE: 2, Pool.BACKGROUND: 1}
RULES = LaneRules("steer")

sessions = st.integers(1, 6).map(lambda number: UUID(int=number))
pools = st.sampled_from(Pool)


class Timer:
    """Stands for the loop's: all that a lane does with it is to call it off."""

    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Known:
    """What the model knows of one lane."""

    def __init__(self) -> None:
        self.pool = Pool.INTERACTIVE
        self.wants = Pool.INTERACTIVE
        self.waiting = 0
        #: Messages that came while the lane was being claimed.
        self.spoken = 0
        #: Turns that others got since this lane stood in line.
        self.passed_by: Counter[UUID] = Counter()
        self.timer: Timer | None = None


class LineupMachine(RuleBasedStateMachine):
    """Whatever the dispatcher may do to its lanes, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.lineup = Lineup(BUDGETS)
        self.known: dict[UUID, Known] = {}
        self.lines: dict[Pool, list[UUID]] = {pool: [] for pool in BUDGETS}
        self.busy: dict[UUID, type[Claiming | Working]] = {}

    @rule(session=sessions, pool=pools)
    def somebody_writes(self, session: UUID, pool: Pool) -> None:
        lane, known = self._made(session)
        lane.wants = known.wants = pool
        if isinstance(lane.state, Claiming):
            lane.state.spoken.append(voice())
            known.spoken += 1
            return
        lane.counts(lane.waiting + 1)
        known.waiting += 1
        if known.timer is None:
            self._stands_in_line(lane)

    @rule(session=sessions, pool=pools, waiting=st.integers(0, 2))
    def the_poll_comes_by(self, session: UUID, pool: Pool, waiting: int) -> None:
        lane, known = self._made(session)
        backlog = Backlog(waiting, 0, "test", pool) if waiting else None
        self.lineup.take_stock(lane, backlog)
        if self.busy.get(session) is not Claiming:
            known.waiting = waiting
            known.wants = pool if waiting else known.wants
        if waiting and known.timer is None:
            self._stands_in_line(lane)

    def _made(self, session: UUID) -> tuple[Lane, Known]:
        if self.lineup.find(session) is None:
            self.known[session] = Known()
        return self.lineup.lane(session, RULES), self.known[session]

    def _stands_in_line(self, lane: Lane) -> None:
        self.lineup.stand_in_line(lane)
        known = self.known[lane.session]
        if lane.session in self.busy:
            return
        assert known.timer is None or known.timer.cancelled
        known.timer = None
        if known.pool is not known.wants or not self._in_line(lane.session):
            self._leaves_the_line(lane.session)
            known.pool = known.wants
            self.lines[known.pool].append(lane.session)
            known.passed_by.clear()

    @rule()
    def those_who_may_are_claimed(self) -> None:
        expected = [each for pool, line in self.lines.items() for each in line[: self._free(pool)]]
        claimed = self.lineup.claim_next()
        assert [lane.session for lane in claimed] == expected, "first come, first served"
        for lane in claimed:
            self._was_claimed(lane, lane.pool)
            for other in self.lines[lane.pool]:
                passed_by = self.known[other].passed_by
                passed_by[lane.session] += 1
                assert passed_by[lane.session] == 1, "nobody goes twice before another"

    @rule(session=sessions, pool=pools)
    def an_abandoned_turn_is_taken_over(self, session: UUID, pool: Pool) -> None:
        """It comes before whatever waits, if there is room in its pool."""
        lane, _ = self._made(session)
        if self.lineup.free(pool) > 0 and not lane.is_busy:
            self.lineup.claim(lane, pool)
            self._was_claimed(lane, pool)

    def _was_claimed(self, lane: Lane, pool: Pool) -> None:
        session, known = lane.session, self.known[lane.session]
        assert session not in self.busy, "a lane is claimed once"
        assert known.timer is None or known.timer.cancelled, "nothing rings for a lane with a turn"
        self._leaves_the_line(session)
        known.pool, known.timer, known.spoken = pool, None, 0
        self.busy[session] = Claiming

    @rule(session=sessions)
    def its_turn_begins(self, session: UUID) -> None:
        if self.busy.get(session) is Claiming:
            lane = self._lane(session)
            self.lineup.work(lane, cast("Running", object()), cast("asyncio.Task[None]", object()))
            self._those_who_spoke_wait(session)
            self.busy[session] = Working

    def _those_who_spoke_wait(self, session: UUID) -> None:
        known = self.known[session]
        known.waiting += known.spoken
        known.spoken = 0

    @rule(session=sessions)
    def its_burst_is_still_coming_in(self, session: UUID) -> None:
        if self.busy.get(session) is Claiming:
            timer = self.known[session].timer = Timer()
            self.lineup.step_aside(self._lane(session), cast("asyncio.TimerHandle", timer))
            self._those_who_spoke_wait(session)
            del self.busy[session]

    @rule(session=sessions)
    def its_timer_rings(self, session: UUID) -> None:
        known = self.known.get(session)
        if known is not None and known.timer is not None:
            self._stands_in_line(self._lane(session))

    @rule(session=sessions, took=st.integers(0, 3))
    def its_turn_ends(self, session: UUID, took: int) -> None:
        """Or its claim fails, or nobody waits there after all."""
        if session in self.busy:
            lane, known = self._lane(session), self.known[session]
            lane.took(took)
            known.waiting = max(0, known.waiting - took)
            self.lineup.leave(lane)
            self._those_who_spoke_wait(session)
            del self.busy[session]
            if known.waiting:
                self._stands_in_line(lane)

    @invariant()
    def budgets_hold_and_busy_never_drifts(self) -> None:
        assert self.lineup.busy == len(self.busy)
        for pool, budget in BUDGETS.items():
            assert self.lineup.free(pool) == self._free(pool) >= 0, budget

    @invariant()
    def every_lane_is_where_the_model_has_it(self) -> None:
        for session, known in self.known.items():
            lane = self.lineup.find(session)
            if lane is None:
                assert not known.waiting, "a lane in which somebody waits is never forgotten"
                expected: type[Any] = Idle
            else:
                assert lane.waiting == known.waiting
                expected = type(lane.state)
            assert expected is self._state(session)

    @invariant()
    def whoever_stands_in_line_can_be_claimed(self) -> None:
        claimable = any(line and self._free(pool) for pool, line in self.lines.items())
        assert self.lineup.has_next() is claimable
        assert self.lineup.waiting == sum(known.waiting for known in self.known.values())

    def teardown(self) -> None:
        """When every turn ends, every lane in which somebody waits gets one."""
        served: set[UUID] = set()
        owed = {session for session in self.known if self._in_line(session)}
        while self.busy or self.lineup.has_next():
            served |= set(self.busy)
            for session in list(self.busy):
                self.its_turn_ends(session, took=1_000)
            self.those_who_may_are_claimed()
        assert owed <= served
        assert self.lineup.busy == 0

    def _lane(self, session: UUID) -> Lane:
        lane = self.lineup.find(session)
        assert lane is not None
        return lane

    def _in_line(self, session: UUID) -> bool:
        return any(session in line for line in self.lines.values())

    def _leaves_the_line(self, session: UUID) -> None:
        for line in self.lines.values():
            if session in line:
                line.remove(session)

    def _free(self, pool: Pool) -> int:
        return BUDGETS[pool] - sum(self.known[session].pool is pool for session in self.busy)

    def _state(self, session: UUID) -> type[Any]:
        if session in self.busy:
            return self.busy[session]
        if self.known[session].timer is not None:
            return Aside
        return InLine if self._in_line(session) else Idle


def test_lanes_stand_in_line_as_the_model_says() -> None:
    run_state_machine_as_test(LineupMachine)
