from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opencraw.queue.modes import (
    Arrival,
    Meeting,
    Start,
    Wait,
    heard,
    meets_running_turn,
    next_turn,
)
from opencraw.settings import Mode

MODES: tuple[Mode, ...] = get_args(Mode)


def lane(rights: str, *, ages: tuple[float, ...] | None = None) -> tuple[Arrival, ...]:
    """A lane in which one message waits per letter: o is the owner's, g a guest's."""
    names = {"o": "owner", "g": "guest"}
    return tuple(
        Arrival(number, names[letter], ages[number - 1] if ages else 10.0)
        for number, letter in enumerate(rights, 1)
    )


@pytest.mark.parametrize(
    ("mode", "waiting", "decision"),
    [
        ("collect", "o", Start(takes=(1,))),
        ("collect", "ooo", Start(takes=(1, 2, 3), collected=3)),
        ("followup", "o", Start(takes=(1,))),
        ("followup", "ooo", Start(takes=(1,), debounced=3)),
        ("steer", "o", Start(takes=(1,))),
        ("steer", "ooo", Start(takes=(3,), supersedes=(1, 2))),
        ("interrupt", "o", Start(takes=(1,))),
        ("interrupt", "ooo", Start(takes=(3,), supersedes=(1, 2))),
        # What one may ask, another may not: the leading messages of equal rights are a turn.
        ("collect", "oogo", Start(takes=(1, 2), collected=2)),
        ("collect", "goo", Start(takes=(1,))),
        ("followup", "ogo", Start(takes=(1,))),
        ("steer", "oogo", Start(takes=(2,), supersedes=(1,))),
        ("interrupt", "ggo", Start(takes=(2,), supersedes=(1,))),
    ],
)
def test_what_an_idle_lane_does_next(mode: Mode, waiting: str, decision: Start) -> None:
    assert next_turn(mode, 0.5, lane(waiting)) == decision
    assert decision.dropped == len(decision.supersedes)


@pytest.mark.parametrize("mode", MODES)
def test_an_empty_lane_has_nothing_to_do(mode: Mode) -> None:
    assert next_turn(mode, 1.0, ()) is None
    assert heard(mode, "owner", ()) == ()


@pytest.mark.parametrize("mode", MODES)
def test_the_window_is_opened_by_the_oldest_and_never_prolonged(mode: Mode) -> None:
    assert next_turn(mode, 1.0, lane("o", ages=(0.0,))) == Wait(1.0)
    assert next_turn(mode, 1.0, lane("oo", ages=(0.75, 0.0))) == Wait(0.25)
    assert isinstance(next_turn(mode, 1.0, lane("oo", ages=(1.0, 0.0))), Start)
    assert isinstance(next_turn(mode, 0.0, lane("o", ages=(0.0,))), Start)


@pytest.mark.parametrize("mode", MODES)
def test_a_clock_that_went_back_does_not_hold_a_lane_for_ever(mode: Mode) -> None:
    assert next_turn(mode, 1.0, lane("o", ages=(-3600.0,))) == Start(takes=(1,))


def test_a_followup_says_how_many_came_within_its_window() -> None:
    # The first three came within half a second of each other, the fourth later.
    waiting = lane("oooo", ages=(5.0, 4.8, 4.5, 1.0))
    assert next_turn("followup", 0.5, waiting) == Start(takes=(1,), debounced=3)
    assert next_turn("followup", 0.5, waiting[3:]) == Start(takes=(4,))


@pytest.mark.parametrize(
    ("mode", "meeting"),
    [
        ("steer", Meeting.STEER),
        ("followup", Meeting.WAIT),
        ("collect", Meeting.WAIT),
        ("interrupt", Meeting.INTERRUPT),
    ],
)
def test_what_a_message_does_to_a_running_turn(mode: Mode, meeting: Meeting) -> None:
    assert meets_running_turn(mode) is meeting


@pytest.mark.parametrize(
    ("mode", "rights", "waiting", "ids"),
    [
        ("steer", "owner", "ooo", (1, 2, 3)),
        ("steer", "owner", "oog", (1, 2)),
        ("steer", "owner", "goo", ()),
        ("steer", "guest", "goo", (1,)),
        ("steer", "guest", "o", ()),
        ("followup", "owner", "o", ()),
        ("collect", "owner", "o", ()),
        ("interrupt", "owner", "o", ()),
    ],
)
def test_what_a_running_turn_hears(
    mode: Mode, rights: str, waiting: str, ids: tuple[int, ...]
) -> None:
    assert heard(mode, rights, lane(waiting)) == ids


#: What happens to a lane: a message comes in, time passes, the turn reaches a boundary, it ends.
happenings = st.lists(
    st.one_of(
        st.sampled_from(["owner", "guest"]),
        st.floats(min_value=0.0, max_value=2.0),
        st.sampled_from(["boundary", "end"]),
    ),
    max_size=40,
)


class Played:
    """A lane that is played by the decisions alone."""

    def __init__(self, mode: Mode, window: float) -> None:
        self.mode = mode
        self.window = window
        self.now = 0.0
        self.waiting: dict[int, tuple[str, float]] = {}
        self.running: str | None = None
        self.accepted = 0
        self.taken: list[int] = []

    def happens(self, happening: str | float) -> None:
        if isinstance(happening, float):
            self.now += happening
        elif happening == "end":
            self.running = None
        elif happening == "boundary":
            if self.running is not None:
                self._take(heard(self.mode, self.running, self._arrivals()))
        else:
            self.accepted += 1
            self.waiting[self.accepted] = (happening, self.now)
        if self.running is None:
            self._dispatch()

    def _arrivals(self) -> tuple[Arrival, ...]:
        return tuple(
            Arrival(id_, rights, self.now - at) for id_, (rights, at) in self.waiting.items()
        )

    def _dispatch(self) -> None:
        decision = next_turn(self.mode, self.window, self._arrivals())
        if isinstance(decision, Start):
            self.running = self.waiting[decision.takes[-1]][0]
            self._take(decision.takes + decision.supersedes)
        elif isinstance(decision, Wait):
            assert 0 < decision.seconds <= self.window

    def _take(self, ids: tuple[int, ...]) -> None:
        for id_ in sorted(ids):
            rights, _ = self.waiting.pop(id_)
            assert rights == self.running, "a turn acts for one kind of sender only"
            self.taken.append(id_)


@given(mode=st.sampled_from(MODES), window=st.floats(0.0, 1.0), happenings=happenings)
def test_no_message_is_lost_or_taken_twice_or_overtaken(
    mode: Mode, window: float, happenings: list[str | float]
) -> None:
    lane = Played(mode, window)
    for happening in happenings:
        lane.happens(happening)
    while lane.waiting:
        before = len(lane.waiting)
        lane.happens(2.0)
        lane.happens("end")
        assert len(lane.waiting) < before, "a lane whose window is over always goes on"
    assert lane.taken == list(range(1, lane.accepted + 1))
