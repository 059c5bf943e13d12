"""What holds for every lane, whatever its rules and whoever waits in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import get_args

from hypothesis import assume, given
from hypothesis import strategies as st

from opencraw.contract import Address
from opencraw.queue.modes import (
    MOST_WINDOWS,
    PASTE_SECONDS,
    Arrival,
    Start,
    Wait,
    heard,
    next_turn,
    overflow,
)
from opencraw.queue.rules import LaneRules
from opencraw.sessions.voice import Voice
from opencraw.settings import DebounceWindow, Drop, Mode

#: Platforms cut at thousands of characters; here a text is cut or it is not.
CUT = 10

HERE, ELSEWHERE = Address("test", "account", "here"), Address("test", "account", "elsewhere")

#: Whoever writes does so with the same voice every time.
VOICES = {
    "ann": Voice("owner", HERE),
    "bob": Voice("owner", HERE),
    "eve": Voice("owner", ELSEWHERE),
    "gus": Voice("guest", HERE),
}

voices = st.sampled_from(sorted(set(VOICES.values()), key=repr))

all_rules = st.builds(
    LaneRules,
    mode=st.sampled_from(get_args(Mode)),
    debounce_ms=st.sampled_from([0, 1, 250, 700, 60_000]),
    debounce_window=st.sampled_from(get_args(DebounceWindow)),
    cap=st.integers(1, 5),
    drop=st.sampled_from(get_args(Drop)),
    splits_at=st.sampled_from([None, CUT]),
)

#: Seconds between two messages: within a paste and a window, at their edges, and beyond.
gaps = st.one_of(
    st.sampled_from([0.0, 0.25, 0.7, PASTE_SECONDS, PASTE_SECONDS + 0.001, 60.0]),
    st.floats(0.0, 3.0),
)


@st.composite
def lanes(draw: st.DrawFn, least: int = 0) -> tuple[Arrival, ...]:
    """Messages that wait, oldest first. The clock may have gone back since they came."""
    said = st.tuples(st.sampled_from(sorted(VOICES)), st.sampled_from([1, CUT]), gaps)
    written = draw(st.lists(said, min_size=least, max_size=12))
    age = draw(st.one_of(gaps, st.floats(-5.0, 0.0)))
    first = draw(st.integers(1, 2**60))
    arrivals: list[Arrival] = []
    for place, (sender, size, gap) in enumerate(reversed(written)):
        arrivals.append(Arrival(first - 2 * place, VOICES[sender], age, sender, size))
        age += gap
    return tuple(reversed(arrivals))


def older(arrivals: Sequence[Arrival], seconds: float) -> tuple[Arrival, ...]:
    return tuple(replace(each, age=each.age + seconds) for each in arrivals)


def in_time(rules: LaneRules, arrivals: tuple[Arrival, ...]) -> Start:
    """What the lane begins when nobody says any more; it must not wait too long for it."""
    longest = max(rules.window, PASTE_SECONDS if rules.splits_at else 0.0)
    waited = 0.0
    for _ in range(5):  # a window, a paste, and what rounding leaves of each
        match next_turn(rules, older(arrivals, waited)):
            case Start() as start:
                return start
            case Wait(seconds):
                assert 0 < seconds <= longest
                waited += seconds
                assert waited <= longest + 0.001
            case None:
                raise AssertionError("a lane in which somebody waits has a next turn")
    raise AssertionError("time passes, and the lane goes on waiting")


def pastes(rules: LaneRules, arrivals: Sequence[Arrival]) -> list[set[int]]:
    """The texts of several parts, as the page of the queue describes them."""
    found: list[set[int]] = []
    for before, after in pairwise(arrivals):
        is_part = (
            rules.splits_at is not None
            and before.size >= rules.splits_at
            and before.sender == after.sender
            and before.age - after.age <= PASTE_SECONDS
        )
        if is_part and found and before.id in found[-1]:
            found[-1].add(after.id)
        elif is_part:
            found.append({before.id, after.id})
    return found


@given(all_rules, lanes(least=1))
def test_every_lane_goes_on_in_time_and_takes_the_oldest_of_one_voice(
    rules: LaneRules, arrivals: tuple[Arrival, ...]
) -> None:
    start = in_time(rules, arrivals)
    gone = start.supersedes + start.takes
    assert start.takes, "a turn answers somebody"
    assert gone == tuple(each.id for each in arrivals[: len(gone)]), "in order, from the oldest"
    assert len({each.voice for each in arrivals[: len(gone)]}) == 1
    assert start.dropped == len(start.supersedes)
    if rules.mode in ("collect", "followup"):
        assert not start.supersedes
    for paste in pastes(rules, arrivals):
        for part in (set(start.takes), set(start.supersedes)):
            assert not paste & part or paste <= part, "the parts of a text stay together"


@given(all_rules, lanes())
def test_a_lane_comes_to_its_end_and_nobody_is_left_or_served_twice(
    rules: LaneRules, arrivals: tuple[Arrival, ...]
) -> None:
    left, gone = arrivals, list[int]()
    while left:
        start = in_time(rules, left)
        gone += start.supersedes + start.takes
        left = left[len(start.supersedes) + len(start.takes) :]
    assert gone == [each.id for each in arrivals]
    assert next_turn(rules, ()) is None


@given(all_rules, lanes(least=1))
def test_a_turn_takes_as_much_as_its_mode_says(
    rules: LaneRules, arrivals: tuple[Arrival, ...]
) -> None:
    rules = replace(rules, splits_at=None)
    start = in_time(rules, arrivals)
    kind = [each.voice == arrivals[0].voice for each in arrivals]
    burst = kind.index(False) if False in kind else len(kind)
    assert len(start.takes) == (burst if rules.mode == "collect" else 1)
    assert len(start.takes) + len(start.supersedes) == (1 if rules.mode == "followup" else burst)
    assert start.collected == (burst if rules.mode == "collect" and burst > 1 else 0)


@given(all_rules, voices, lanes())
def test_a_turn_hears_only_its_own_voice_and_overtakes_nobody(
    rules: LaneRules, voice: Voice, arrivals: tuple[Arrival, ...]
) -> None:
    taken = heard(rules.mode, voice, arrivals)
    assert taken == tuple(each.id for each in arrivals[: len(taken)])
    assert all(each.voice == voice for each in arrivals[: len(taken)])
    rest = arrivals[len(taken) :]
    if rules.mode != "steer":
        assert not taken
    elif rest:
        assert rest[0].voice != voice, "whoever may be heard is heard"


@given(all_rules, lanes())
def test_a_full_lane_keeps_exactly_as_many_as_may_wait(
    rules: LaneRules, arrivals: tuple[Arrival, ...]
) -> None:
    leaving = overflow(rules, arrivals)
    if len(arrivals) <= rules.cap or rules.drop == "block":
        assert leaving is None
        return
    assert leaving is not None
    ids = [each.id for each in arrivals]
    staying = [each for each in ids if each not in leaving.ids]
    assert len(staying) == rules.cap
    owners = [each.id for each in arrivals if each.voice.rights == "owner"]
    assert len(set(owners) & set(staying)) == min(len(owners), rules.cap), "guests give way"
    for kind in ("owner", "guest"):
        alike = [each.id for each in arrivals if each.voice.rights == kind]
        kept = [each for each in alike if each in staying]
        first_or_last = (
            alike[: len(kept)] if rules.drop == "newest" else alike[len(alike) - len(kept) :]
        )
        assert kept == first_or_last
    assert list(leaving.ids) == [each for each in ids if each not in staying]
    assert leaving.summarized == (rules.drop == "summarize")
    rest = tuple(each for each in arrivals if each.id in staying)
    assert overflow(rules, rest) is None, "it is full no more"


@given(all_rules, voices, lanes(), st.integers(-1000, 1000))
def test_nothing_depends_on_the_ids_themselves(
    rules: LaneRules, voice: Voice, arrivals: tuple[Arrival, ...], by: int
) -> None:
    moved = tuple(replace(each, id=each.id + by) for each in arrivals)

    def back(ids: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(each - by for each in ids)

    turn = next_turn(rules, moved)
    if isinstance(turn, Start):
        turn = replace(turn, takes=back(turn.takes), supersedes=back(turn.supersedes))
    assert turn == next_turn(rules, arrivals)
    assert back(heard(rules.mode, voice, moved)) == heard(rules.mode, voice, arrivals)
    leaving = overflow(rules, moved)
    if leaving is not None:
        leaving = replace(leaving, ids=back(leaving.ids))
    assert leaving == overflow(rules, arrivals)


@given(all_rules, st.floats(0.01, 1.0), st.sampled_from([1, CUT]))
def test_whoever_never_stops_is_answered_too(rules: LaneRules, gap: float, size: int) -> None:
    """However long the burst goes on, it does not put off its answer for ever."""
    longest = max(rules.window, PASTE_SECONDS) * MOST_WINDOWS
    assume(longest / gap < 300)
    arrivals: tuple[Arrival, ...] = ()
    while not isinstance(next_turn(rules, arrivals), Start):
        assert not arrivals or arrivals[0].age <= longest, "nobody is answered"
        next_one = Arrival(len(arrivals) + 1, VOICES["ann"], 0.0, "ann", size)
        arrivals = (*older(arrivals, gap), next_one)
