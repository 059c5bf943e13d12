from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opencraw.contract import Address
from opencraw.queue.modes import (
    MOST_WINDOWS,
    PASTE_SECONDS,
    Arrival,
    Meeting,
    Overflow,
    Start,
    Wait,
    heard,
    meets_running_turn,
    next_turn,
    overflow,
)
from opencraw.queue.rules import LaneRules
from opencraw.sessions.voice import Voice
from opencraw.settings import DebounceWindow, Drop, Mode

MODES: tuple[Mode, ...] = get_args(Mode)
SPLITS_AT = 4096


HERE, ELSEWHERE = Address("test", "account", "here"), Address("test", "account", "elsewhere")
OWNER = Voice("owner", HERE)
VOICES = {"o": OWNER, "g": Voice("guest", HERE), "e": Voice("owner", ELSEWHERE)}


def lane(voices: str, *, ages: tuple[float, ...] | None = None) -> tuple[Arrival, ...]:
    """A lane in which one message waits per letter: o is the owner's, g a guest's, and e the
    owner's from another address."""
    return tuple(
        Arrival(number, VOICES[letter], ages[number - 1] if ages else 10.0)
        for number, letter in enumerate(voices, 1)
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
        # What one may ask, another may not, and an answer goes where it was asked for: the leading
        # messages of one voice are a turn.
        ("collect", "oogo", Start(takes=(1, 2), collected=2)),
        ("collect", "goo", Start(takes=(1,))),
        ("followup", "ogo", Start(takes=(1,))),
        ("steer", "oogo", Start(takes=(2,), supersedes=(1,))),
        ("interrupt", "ggo", Start(takes=(2,), supersedes=(1,))),
        ("collect", "ooeo", Start(takes=(1, 2), collected=2)),
        ("collect", "eeg", Start(takes=(1, 2), collected=2)),
        ("followup", "eoo", Start(takes=(1,))),
        ("steer", "ooe", Start(takes=(2,), supersedes=(1,))),
        ("interrupt", "eoe", Start(takes=(1,))),
    ],
)
def test_what_an_idle_lane_does_next(mode: Mode, waiting: str, decision: Start) -> None:
    assert next_turn(LaneRules(mode, debounce_ms=500), lane(waiting)) == decision
    assert decision.dropped == len(decision.supersedes)


@pytest.mark.parametrize("mode", MODES)
def test_an_empty_lane_has_nothing_to_do(mode: Mode) -> None:
    assert next_turn(LaneRules(mode, debounce_ms=1000), ()) is None
    assert heard(mode, OWNER, ()) == ()


@pytest.mark.parametrize("mode", MODES)
def test_the_window_is_opened_by_the_oldest_and_never_prolonged(mode: Mode) -> None:
    rules = LaneRules(mode, debounce_ms=1000)
    assert next_turn(rules, lane("o", ages=(0.0,))) == Wait(1.0)
    assert next_turn(rules, lane("oo", ages=(0.75, 0.0))) == Wait(0.25)
    assert isinstance(next_turn(rules, lane("oo", ages=(1.0, 0.0))), Start)
    assert isinstance(next_turn(LaneRules(mode), lane("o", ages=(0.0,))), Start)


@pytest.mark.parametrize("mode", MODES)
def test_a_clock_that_went_back_does_not_hold_a_lane_for_ever(mode: Mode) -> None:
    rules = LaneRules(mode, debounce_ms=1000)
    assert next_turn(rules, lane("o", ages=(-3600.0,))) == Start(takes=(1,))


def test_a_followup_says_how_many_came_within_its_window() -> None:
    # The first three came within half a second of each other, the fourth later.
    waiting = lane("oooo", ages=(5.0, 4.8, 4.5, 1.0))
    rules = LaneRules("followup", debounce_ms=500)
    assert next_turn(rules, waiting) == Start(takes=(1,), debounced=3)
    assert next_turn(rules, waiting[3:]) == Start(takes=(4,))


# A sliding window.


@pytest.mark.parametrize("mode", MODES)
def test_a_sliding_window_begins_anew_with_each_message(mode: Mode) -> None:
    rules = LaneRules(mode, debounce_ms=1000, debounce_window="sliding")
    assert next_turn(rules, lane("o", ages=(0.25,))) == Wait(0.75)
    assert next_turn(rules, lane("ooo", ages=(2.0, 1.0, 0.25))) == Wait(0.75)
    assert isinstance(next_turn(rules, lane("oo", ages=(3.0, 1.0))), Start)


@pytest.mark.parametrize("mode", MODES)
def test_whoever_never_stops_is_answered_too(mode: Mode) -> None:
    rules = LaneRules(mode, debounce_ms=1000, debounce_window="sliding")
    assert next_turn(rules, lane("oo", ages=(MOST_WINDOWS - 0.25, 0.0))) == Wait(0.25)
    assert isinstance(next_turn(rules, lane("oo", ages=(float(MOST_WINDOWS), 0.0))), Start)


# Texts that a platform cut.


def parts(*said: tuple[str, float, int]) -> tuple[Arrival, ...]:
    """A lane of messages: who wrote, how long ago, and how much."""
    return tuple(
        Arrival(number, OWNER, age, sender, size)
        for number, (sender, age, size) in enumerate(said, 1)
    )


PASTE = parts(("ann", 9.0, SPLITS_AT), ("ann", 8.0, SPLITS_AT), ("ann", 7.5, 10))


@pytest.mark.parametrize(
    ("mode", "start"),
    [
        ("collect", Start(takes=(1, 2, 3))),
        ("followup", Start(takes=(1, 2, 3))),
        ("steer", Start(takes=(1, 2, 3))),
        ("interrupt", Start(takes=(1, 2, 3))),
    ],
)
def test_the_parts_of_a_cut_text_are_one_message_in_every_mode(mode: Mode, start: Start) -> None:
    assert next_turn(LaneRules(mode, splits_at=SPLITS_AT), PASTE) == start


def test_where_no_platform_cuts_every_message_is_its_own() -> None:
    assert next_turn(LaneRules("followup"), PASTE) == Start(takes=(1,))
    assert next_turn(LaneRules("steer"), PASTE) == Start(takes=(3,), supersedes=(1, 2))


@pytest.mark.parametrize(
    ("mode", "start"),
    [
        ("collect", Start(takes=(1, 2, 3, 4, 5), collected=3)),
        ("followup", Start(takes=(1,))),
        ("steer", Start(takes=(5,), supersedes=(1, 2, 3, 4))),
    ],
)
def test_a_cut_text_among_others_is_one_of_them(mode: Mode, start: Start) -> None:
    waiting = parts(
        ("ann", 10.0, 5),
        *((arrival.sender, arrival.age, arrival.size) for arrival in PASTE),
        ("ann", 7.4, 5),
    )
    assert next_turn(LaneRules(mode, splits_at=SPLITS_AT), waiting) == start


@pytest.mark.parametrize("mode", MODES)
def test_a_cut_text_is_waited_for_as_long_as_it_may_go_on(mode: Mode) -> None:
    rules = LaneRules(mode, splits_at=SPLITS_AT)
    assert next_turn(rules, parts(("ann", 0.5, SPLITS_AT))) == Wait(PASTE_SECONDS - 0.5)
    assert next_turn(rules, parts(("ann", 2.0, SPLITS_AT), ("ann", 1.0, SPLITS_AT))) == Wait(
        PASTE_SECONDS - 1.0
    )
    assert next_turn(rules, parts(("ann", PASTE_SECONDS, SPLITS_AT))) == Start(takes=(1,))
    assert next_turn(rules, parts(("ann", 0.5, SPLITS_AT), ("ann", 0.0, SPLITS_AT - 1))) == Start(
        takes=(1, 2)
    )


@pytest.mark.parametrize("mode", MODES)
def test_a_text_that_goes_on_for_ever_is_answered_as_far_as_it_came(mode: Mode) -> None:
    said = [
        ("ann", float(age), SPLITS_AT) for age in range(int(MOST_WINDOWS * PASTE_SECONDS), -1, -1)
    ]
    decision = next_turn(LaneRules(mode, splits_at=SPLITS_AT), parts(*said))
    assert decision == Start(takes=tuple(range(1, len(said) + 1)))


@pytest.mark.parametrize(
    "waiting",
    [
        parts(("ann", 9.0, SPLITS_AT), ("bob", 8.9, 10)),  # somebody else
        parts(("ann", 9.0, SPLITS_AT), ("ann", 8.9 - PASTE_SECONDS, 10)),  # too late
        parts(("ann", 9.0, SPLITS_AT - 1), ("ann", 8.9, 10)),  # the first was whole
    ],
    ids=["another sender", "another time", "a whole text"],
)
def test_what_was_never_one_text_is_not_joined(waiting: tuple[Arrival, ...]) -> None:
    assert next_turn(LaneRules("followup", splits_at=SPLITS_AT), waiting) == Start(takes=(1,))


# Too many.


@pytest.mark.parametrize(
    ("drop", "waiting", "leaving"),
    [
        ("summarize", "ooooo", Overflow((1, 2), summarized=True)),
        ("oldest", "ooooo", Overflow((1, 2), summarized=False)),
        ("newest", "ooooo", Overflow((4, 5), summarized=False)),
        ("block", "ooooo", None),
        # Guests before owners.
        ("summarize", "oogoo", Overflow((1, 3), summarized=True)),
        ("oldest", "ogogg", Overflow((2, 4), summarized=False)),
        ("newest", "ogogg", Overflow((4, 5), summarized=False)),
        ("newest", "ggooo", Overflow((1, 2), summarized=False)),
    ],
)
def test_who_gives_up_a_place_when_too_many_wait(
    drop: Drop, waiting: str, leaving: Overflow | None
) -> None:
    rules = LaneRules("steer", cap=3, drop=drop)
    assert overflow(rules, lane(waiting)) == leaving
    assert overflow(rules, lane("oog")) is None
    assert overflow(rules, ()) is None


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
    ("mode", "voice", "waiting", "ids"),
    [
        ("steer", "o", "ooo", (1, 2, 3)),
        ("steer", "o", "oog", (1, 2)),
        ("steer", "o", "goo", ()),
        ("steer", "o", "oeo", (1,)),
        ("steer", "e", "oee", ()),
        ("steer", "g", "goo", (1,)),
        ("steer", "g", "o", ()),
        ("followup", "o", "o", ()),
        ("collect", "o", "o", ()),
        ("interrupt", "o", "o", ()),
    ],
)
def test_what_a_running_turn_hears(
    mode: Mode, voice: str, waiting: str, ids: tuple[int, ...]
) -> None:
    assert heard(mode, VOICES[voice], lane(waiting)) == ids


#: What happens to a lane: a message comes in, time passes, the turn reaches a boundary, it ends.
happenings = st.lists(
    st.one_of(
        st.sampled_from(sorted(VOICES)),
        st.floats(min_value=0.0, max_value=2.0),
        st.sampled_from(["boundary", "end"]),
    ),
    max_size=40,
)


class Played:
    """A lane that is played by the decisions alone."""

    def __init__(self, rules: LaneRules) -> None:
        self.rules = rules
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
                self._take(heard(self.rules.mode, VOICES[self.running], self._arrivals()))
        else:
            self.accepted += 1
            self.waiting[self.accepted] = (happening, self.now)
        if self.running is None:
            self._dispatch()

    def _arrivals(self) -> tuple[Arrival, ...]:
        return tuple(
            # Every third message is as long as a platform lets it be.
            Arrival(id_, VOICES[voice], self.now - at, voice, SPLITS_AT if id_ % 3 == 0 else 1)
            for id_, (voice, at) in self.waiting.items()
        )

    def _dispatch(self) -> None:
        decision = next_turn(self.rules, self._arrivals())
        if isinstance(decision, Start):
            self.running = self.waiting[decision.takes[-1]][0]
            self._take(decision.takes + decision.supersedes)
        elif isinstance(decision, Wait):
            assert 0 < decision.seconds <= max(self.rules.window, PASTE_SECONDS)

    def _take(self, ids: tuple[int, ...]) -> None:
        for id_ in sorted(ids):
            voice, _ = self.waiting.pop(id_)
            assert voice == self.running, "a turn hears one voice only"
            self.taken.append(id_)


all_rules = st.builds(
    LaneRules,
    mode=st.sampled_from(MODES),
    debounce_ms=st.integers(0, 1000),
    debounce_window=st.sampled_from(get_args(DebounceWindow)),
    splits_at=st.none() | st.just(SPLITS_AT),
)


@given(rules=all_rules, happenings=happenings)
def test_no_message_is_lost_or_taken_twice_or_overtaken(
    rules: LaneRules, happenings: list[str | float]
) -> None:
    lane = Played(rules)
    for happening in happenings:
        lane.happens(happening)
    while lane.waiting:
        before = len(lane.waiting)
        lane.happens(2.0)
        lane.happens("end")
        assert len(lane.waiting) < before, "a lane whose window is over always goes on"
    assert lane.taken == list(range(1, lane.accepted + 1))
