"""The lineup, played by chance: whatever happens, its books are right."""

from __future__ import annotations

import asyncio
from collections import Counter
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opencraw.contract import Rights
from opencraw.queue.inbox import Backlog
from opencraw.queue.pools import Pool
from opencraw.queue.rules import LaneRules
from opencraw.worker.lanes import Aside, Claiming, Idle, InLine, Lane, Lineup
from tests.fixtures.core import voice

RULES = LaneRules("steer")
BUDGETS = {Pool.INTERACTIVE: 2, Pool.BACKGROUND: 1}
SESSIONS = [UUID(int=number) for number in range(3)]


class Played:
    """A lineup, and what a dispatcher does with it."""

    def __init__(self) -> None:
        self.lineup = Lineup(BUDGETS)
        self.loop = asyncio.new_event_loop()
        self.timers: list[asyncio.TimerHandle] = []

    def arrives(self, lane: Lane, pool: Pool) -> None:
        lane.wants = pool
        if isinstance(lane.state, Claiming):
            lane.state.spoken.append(voice())
            return
        lane.counts(lane.waiting + 1)
        if not isinstance(lane.state, Aside):
            self.lineup.stand_in_line(lane)

    def happens(self, what: str, session: UUID, pool: Pool) -> None:
        lane = self.lineup.lane(session, RULES)
        match what:
            case "arrives":
                self.arrives(lane, pool)
            case "is looked at":
                self.lineup.stand_in_line(lane)
            case "overflows":
                lane.overflowed = True
            case "is withdrawn":
                lane.took(1)
            case "is found" | "is not found":
                backlog = Backlog(1, 0, "test", pool) if what == "is found" else None
                self.lineup.take_stock(lane, backlog)
            case "steps aside" if lane.is_busy:
                timer = self.loop.call_later(1, self.lineup.stand_in_line, lane)
                self.timers.append(timer)
                self.lineup.step_aside(lane, timer)
            case "is let go" if lane.is_busy:
                self.lineup.leave(lane)
            case "is taken over" if not lane.is_busy and self.lineup.free(pool) > 0:
                self.lineup.claim(lane, pool)
            case "claim":
                self.lineup.claim_next()
        self.is_right()

    def is_right(self) -> None:
        lanes = list(self.lineup)
        lines = {pool: list(self.lineup._lines[pool]) for pool in BUDGETS}
        in_line = Counter(session for line in lines.values() for session in line)
        for lane in lanes:
            standing = isinstance(lane.state, InLine)
            assert in_line[lane.session] == standing, "who stands in line stands there once"
            if standing:
                assert lane.session in lines[lane.pool]
            if isinstance(lane.state, Aside):
                assert not lane.state.timer.cancelled(), "a lane aside comes back"
        assert set(in_line) <= {lane.session for lane in lanes}, "no line leads to nowhere"
        live = [timer for timer in self.timers if not timer.cancelled()]
        assert len(live) == sum(isinstance(lane.state, Aside) for lane in lanes)
        for pool, budget in BUDGETS.items():
            busy = sum(lane.is_busy and lane.pool is pool for lane in lanes)
            assert self.lineup.free(pool) == budget - busy >= 0
        assert self.lineup.busy == sum(lane.is_busy for lane in lanes)
        assert self.lineup.waiting == sum(lane.waiting for lane in lanes)


happenings = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "arrives", "arrives", "is looked at", "overflows", "is withdrawn", "is found",
                "is not found", "steps aside", "is let go", "is taken over", "claim", "claim",
            ]
        ),
        st.sampled_from(SESSIONS),
        st.sampled_from(Pool),
    ),
    min_size=20,
    max_size=60,
)  # fmt: skip


@given(happenings=happenings)
def test_the_books_are_right_whatever_happens(happenings: list[tuple[str, UUID, Pool]]) -> None:
    played = Played()
    try:
        for what, session, pool in happenings:
            played.happens(what, session, pool)
        # And whoever waits is answered in the end.
        for lane in played.lineup:
            if lane.is_busy:
                played.lineup.leave(lane)
            if lane.has_work:
                played.lineup.stand_in_line(lane)
        served = set()
        while claimed := played.lineup.claim_next():
            for lane in claimed:
                served.add(lane.session)
                lane.overflowed = False
                lane.counts(0)
                played.lineup.leave(lane)
            played.is_right()
        assert not [lane for lane in played.lineup if lane.has_work]
    finally:
        played.loop.close()


@pytest.fixture
def lineup() -> Lineup:
    return Lineup(BUDGETS)


def lane_of(lineup: Lineup, number: int, pool: Pool = Pool.INTERACTIVE) -> Lane:
    lane = lineup.lane(SESSIONS[number], RULES)
    lane.wants = pool
    lane.counts(1)
    lineup.stand_in_line(lane)
    return lane


def test_lanes_are_claimed_in_the_order_in_which_they_came(lineup: Lineup) -> None:
    first, second, third = (lane_of(lineup, number) for number in range(3))
    lineup.stand_in_line(first)
    assert lineup.claim_next() == [first, second]
    lineup.leave(first)
    lineup.stand_in_line(first)
    assert lineup.claim_next() == [third], "who had its turn goes to the end"


def test_a_pool_without_room_does_not_hold_up_the_other(lineup: Lineup) -> None:
    one, two = (lane_of(lineup, number, Pool.BACKGROUND) for number in range(2))
    assert lineup.claim_next() == [one]
    assert not lineup.has_next()
    person = lane_of(lineup, 2)
    assert lineup.claim_next() == [person]
    lineup.leave(one)
    assert lineup.claim_next() == [two]


def test_a_lane_that_comes_back_early_is_not_brought_back_again(lineup: Lineup) -> None:
    lane = lane_of(lineup, 0)
    lineup.claim_next()
    loop = asyncio.new_event_loop()
    timer = loop.call_later(1, lineup.stand_in_line, lane)
    lineup.step_aside(lane, timer)
    lineup.stand_in_line(lane)
    assert timer.cancelled()
    loop.close()


def test_a_lane_that_wants_another_pool_changes_its_line(lineup: Lineup) -> None:
    lane = lane_of(lineup, 0, Pool.BACKGROUND)
    lane.wants = Pool.INTERACTIVE
    lineup.stand_in_line(lane)
    assert lineup.claim_next() == [lane]
    assert lineup.free(Pool.BACKGROUND) == BUDGETS[Pool.BACKGROUND]


def test_who_speaks_while_the_database_is_asked_counts_afterwards(lineup: Lineup) -> None:
    lane = lane_of(lineup, 0)
    [claimed] = lineup.claim_next()
    assert isinstance(claimed.state, Claiming)
    claimed.counts(0)
    claimed.state.spoken += [voice(), voice(rights=Rights.GUEST)]
    lineup.leave(lane)
    assert lane.waiting == 2
    assert lineup.find(lane.session) is lane, "it is not forgotten"


def test_the_database_is_not_believed_about_a_lane_that_is_being_claimed(lineup: Lineup) -> None:
    lane = lane_of(lineup, 0)
    lineup.claim_next()
    lineup.take_stock(lane, Backlog(7, 1, "test", Pool.BACKGROUND))
    assert (lane.waiting, lane.overflowed) == (1, False)
    lineup.leave(lane)
    lineup.take_stock(lane, Backlog(7, 1, "test", Pool.BACKGROUND))
    assert (lane.waiting, lane.overflowed, lane.wants) == (7, True, Pool.BACKGROUND)


def test_a_lane_in_which_nobody_waits_is_forgotten_and_one_with_a_summary_is_not(
    lineup: Lineup,
) -> None:
    lane = lane_of(lineup, 0)
    lineup.claim_next()
    lane.counts(0)
    lane.overflowed = True
    lineup.leave(lane)
    assert lineup.find(lane.session) is lane
    assert isinstance(lane.state, Idle)
    lineup.take_stock(lane, None)
    assert lineup.find(lane.session) is None
