"""When marks move, and that they need not move again soon."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opencraw.context.blocks import Compaction, Limits
from opencraw.context.compaction import LEAST_SUMMED_UP, Move, plan
from opencraw.context.summary import audit
from opencraw.context.tokens import rough
from opencraw.model import UserMessage
from tests.context.conversations import Step, Told, conversations, limits
from tests.context.talk import Talk, good_summary

CUT_OFF = Limits(max_prompt_tokens=2_000, min_recent_messages=4, max_tool_chars=1_000)
SUMMED_UP = replace(CUT_OFF, compaction=Compaction(1_500, 6, "30d"))
DEFAULTS = Limits(8_000, 8, 4_000, Compaction(6_000, 12, "30d"))


def chat(said: int, answered: int = 40) -> Told:
    """A turn without tools."""
    return Told(0, said, (), 0, False, "done", answered)


def work(*results: int) -> Told:
    """A turn of one step with so many results."""
    return Told(0, 3, (Step(3, results, 0),), 0, False, "done", 3)


def after(limits: Limits, *turns: Told) -> Talk:
    talk = Talk(limits)
    for turn in turns:
        talk.scribe.take_down(turn)
    return talk


def test_nothing_moves_while_all_fits() -> None:
    assert Talk(CUT_OFF).wanted() is None
    assert after(CUT_OFF, *[chat(400)] * 10).wanted() is None


def test_results_that_were_read_long_ago_are_shown_short_first() -> None:
    talk = after(CUT_OFF, *[work(1_000)] * 8)
    last_three = [each.seq for each in talk.scribe.entries if each.kind == "user"][-3]
    assert talk.wanted() == Move(pruned_seq=last_three - 1, begin_seq=0)


def test_results_stay_when_shortening_them_is_not_worth_it() -> None:
    """Although it would do for this once."""
    lengths = range(0, 4_000, 40)
    talks = (after(CUT_OFF, work(1_000), *[chat(800)] * 8, chat(3, more)) for more in lengths)
    found = next(found for talk in talks if (found := talk.wanted()) is not None)
    assert found.begin_seq > 0


def test_an_old_memory_gives_way_before_a_line_that_is_owed_does() -> None:
    talk = after(
        replace(CUT_OFF, max_prompt_tokens=500, min_recent_messages=7),
        replace(chat(400, 400), recalled="first"), chat(400, 400), chat(400, 400),
    )  # fmt: skip
    talk.scribe.take_down(replace(chat(3), end="crashed"))
    assert talk.window().left_out
    assert talk.settle() == Move(pruned_seq=3, begin_seq=0)
    assert not talk.window().left_out


def test_without_summing_up_prompts_begin_later_by_a_good_part() -> None:
    talk = after(CUT_OFF, *[chat(400)] * 30)
    assert talk.settle() is not None
    assert talk.moves[0].plan is None
    assert CUT_OFF.max_prompt_tokens * 0.4 < talk.window().tokens < CUT_OFF.max_prompt_tokens * 0.55
    first, second, *_ = talk.window().messages
    assert "left out" in first.text
    assert isinstance(second, UserMessage)
    assert second.text.startswith("said")


def test_the_older_part_is_summed_up_when_the_trigger_is_reached() -> None:
    talk = after(SUMMED_UP, *[chat(400)] * 15)
    found = talk.settle()
    assert found is not None
    assert found.plan is not None
    assert found.begin_seq == found.plan.covers
    assert [each.seq for each in found.plan.entries] == list(range(1, found.plan.covers + 1))
    assert audit(found.plan, good_summary(found.plan)) == ()
    assert len(talk.window().messages) == 6 + 1, "the retained ones and the summary"


def test_a_later_summary_takes_the_place_of_the_earlier_one() -> None:
    talk = after(SUMMED_UP, *[chat(400)] * 15)
    talk.settle()
    first = talk.moves[0].plan
    for _ in range(12):
        talk.scribe.take_down(chat(400))
    found = talk.settle()
    assert found is not None
    assert found.plan is not None
    assert first is not None
    assert found.plan.previous == good_summary(first)
    assert found.plan.entries[0].seq == first.covers + 1
    assert not [each for each in found.plan.entries if each.kind == "checkpoint"]


def test_the_retained_messages_give_way_when_they_alone_fill_the_window() -> None:
    talk = after(replace(SUMMED_UP, min_recent_messages=1), *[chat(1_200, 1_200)] * 8)
    found = talk.settle()
    assert found is not None
    assert found.plan is not None
    assert talk.window().tokens < 1_500


def test_an_order_is_carried_out_although_there_is_no_need() -> None:
    talk = after(SUMMED_UP, *[chat(400)] * 8)
    assert talk.wanted() is None
    talk.view = replace(talk.view, compaction_wanted="")
    found = talk.settle()
    assert found is not None
    assert found.plan is not None


def test_an_order_may_leave_nothing_but_the_newest_turn() -> None:
    talk = after(SUMMED_UP, chat(LEAST_SUMMED_UP), chat(3))
    talk.view = replace(talk.view, compaction_wanted="the price")
    found = talk.wanted()
    assert found is not None
    assert found.plan is not None
    assert found.plan.covers == 2


@pytest.mark.parametrize("turns", [[], [chat(3)], [chat(9_000)], [chat(3), chat(9_000)]])
def test_where_nothing_can_be_summed_up_there_is_no_plan(turns: list[Told]) -> None:
    talk = after(replace(SUMMED_UP, max_prompt_tokens=9_000), *turns)
    talk.view = replace(talk.view, compaction_wanted="")
    assert plan(talk.transcript, talk.limits, rough) is None
    assert talk.wanted() is None


def test_nothing_is_summed_up_where_that_is_off() -> None:
    talk = after(CUT_OFF, *[chat(400)] * 9)
    talk.view = replace(talk.view, compaction_wanted="")
    assert talk.wanted() is None
    assert plan(talk.transcript, CUT_OFF, rough) is None


def test_a_turn_that_fills_the_window_alone_is_shown_without_its_own_older_results() -> None:
    told = Told(0, 3, tuple(Step(3, (1_000, 1_000), 0) for _ in range(9)), 0, False, "failed", 0)
    talk = after(CUT_OFF, chat(400), told)
    found = talk.settle()
    assert found is not None
    newest = [each.seq for each in talk.scribe.entries if each.kind == "assistant"][-1]
    assert found.pruned_seq == newest - 1
    assert found.begin_seq == 2, "what came before it made room first"
    assert "left out" not in talk.window().messages[-1].text


def test_a_conversation_of_very_many_lines_moves_on_before_they_can_not_be_read() -> None:
    talk = after(replace(CUT_OFF, max_prompt_tokens=10**6, most_entries=100), *[chat(3)] * 51)
    found = talk.settle()
    assert found is not None
    assert len(talk.transcript.entries) == 50
    assert talk.wanted() is None


@given(told=conversations, limits=limits, more=st.integers(0, 30))
@settings(max_examples=150, deadline=None)
def test_every_move_frees_something_and_is_the_last_for_now(
    told: list[Told], limits: Limits, more: int
) -> None:
    """See `Talk`, where it is checked whenever a model is asked."""
    talk = Talk(limits, settles=True)
    for turn in [*told, *told[:1] * more]:
        moves = len(talk.moves)
        talk.scribe.take_down(turn)
        for found in talk.moves[moves:]:
            _begins_well(talk, found)


def _begins_well(talk: Talk, found: Move) -> None:
    """Where a turn begins, and not in the newest."""
    if found.begin_seq:
        entries = talk.scribe.entries
        first = entries[found.begin_seq]
        assert first.kind == "user"
        assert first.turn_id != entries[found.begin_seq - 1].turn_id
        newest = next(each.seq for each in entries if each.turn_id == talk.scribe.turn)
        assert found.begin_seq < newest


@given(told=conversations, limits=limits, more=st.integers(0, 30))
@settings(max_examples=100, deadline=None)
def test_a_prompt_begins_with_the_last_one_as_long_as_no_mark_moved(
    told: list[Told], limits: Limits, more: int
) -> None:
    talk = Talk(limits, settles=True)
    for turn in [*told, *told[:1] * more]:
        last, moves = talk.window(), len(talk.moves)
        talk.scribe.take_down(turn if turn.recalled != "late" else replace(turn, recalled=""))
        if len(talk.moves) == moves and not talk.window().left_out:
            assert talk.window().messages[: len(last.messages)] == last.messages


def some_turn(chance: random.Random) -> Told:
    """Mostly a few words, now and then a page, seldom a turn that brings in half a book."""
    rare = chance.random()
    many = chance.randint(2, 12) if rare > 0.99 else int(rare > 0.6)
    size = chance.choice([10, 60, 200, 200, 500, 2_000])
    if chance.random() < 0.01:
        size = chance.choice([8_000, 40_000])
    return Told(
        superseded=0,
        said=size,
        steps=tuple(some_step(chance, 8_000 if rare > 0.97 else 300) for _ in range(many)),
        open_calls=chance.choice([0] * 9 + [1]),
        started=True,
        end=chance.choice(("done", "done", "done", "failed", "interrupted", "crashed")),
        last_words=size,
        recalled=chance.choice(("", "first")),
    )


def some_step(chance: random.Random, longest: int) -> Step:
    results = tuple(chance.randint(0, longest) for _ in range(chance.randint(1, 3)))
    return Step(chance.randint(0, 200), results, chance.choice([0, 0, 0, 1]))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("limits", [DEFAULTS, replace(DEFAULTS, compaction=None)])
def test_over_thousands_of_lines_the_marks_alone_keep_prompts_within_the_limit(
    seed: int, limits: Limits
) -> None:
    """See `Talk`, where it is checked whenever a model is asked."""
    chance = random.Random(seed)
    talk = Talk(limits, settles=True)
    asked = 0
    while len(talk.scribe.entries) < 2_000:
        talk.scribe.take_down(some_turn(chance))
        asked += 1
    assert len(talk.moves) < asked / 4
    if limits.compaction:
        assert sum(found.plan is not None for found in talk.moves) >= 10
