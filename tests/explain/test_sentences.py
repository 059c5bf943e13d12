from __future__ import annotations

import re
from dataclasses import replace
from itertools import product
from typing import get_args

import pytest

from opencraw.explain.sentences import explain
from opencraw.explain.story import (
    DeliveryState,
    Hands,
    Outcome,
    State,
    Story,
    TurnState,
)
from opencraw.queue.rules import LaneRules
from opencraw.settings import Drop, Mode
from opencraw.store.database import Database
from tests.explain.stories import (
    NEWER,
    a_delivery,
    a_story,
    a_turn,
    ago,
    waiting,
)

RUNNING = a_turn(TurnState.RUNNING)
FAILED = a_turn(TurnState.FAILED)

WAITING = [
    (waiting(RUNNING), "Waits: turn cccccccc has been running the tool shell for 40 s."),
    (
        waiting(RUNNING, ahead=1),
        (
            "Waits: 1 message is ahead of it, and turn cccccccc has been running the tool shell "
            "for 40 s."
        ),
    ),
    (
        waiting(RUNNING, ahead=3),
        (
            "Waits: 3 messages are ahead of it, and turn cccccccc has been running the tool shell "
            "for 40 s."
        ),
    ),
    (
        waiting(a_turn(TurnState.RUNNING, hands=Hands.DEAD)),
        (
            "Waits: turn cccccccc lost its node, which died (north, process 12); it is taken over "
            "by this daemon."
        ),
    ),
    (
        waiting(a_turn(TurnState.RUNNING, hands=Hands.DEAD, owner=None), nodes=2),
        "Waits: turn cccccccc lost its node, which died; it is taken over by one of 2 daemons.",
    ),
    (
        waiting(a_turn(TurnState.RUNNING, hands=Hands.HANDED_OVER)),
        (
            "Waits: turn cccccccc was handed over by a daemon that stopped (north, process 12); "
            "this daemon takes it over."
        ),
    ),
    (
        waiting(a_turn(TurnState.RUNNING, hands=Hands.GIVEN_UP)),
        "Waits: turn cccccccc was given up on an error; this daemon takes it up again.",
    ),
    (
        waiting(accepted_at=ago(0.1)),
        "Waits: its turn is about to begin. More of the burst may come within 250 ms.",
    ),
    (
        waiting(accepted_at=ago(0.1), rules=LaneRules("steer", debounce_ms=0)),
        "Waits: its turn is about to begin.",
    ),
    (
        waiting(turns_running=8),
        (
            "Waits: no turn of its conversation has begun since it came 60 s ago; 8 turns of other "
            "conversations run here."
        ),
    ),
    (
        waiting(ahead=2),
        (
            "Waits: 2 messages are ahead of it, and no turn of its conversation has begun since it "
            "came 60 s ago; no turn runs here at all."
        ),
    ),
]

IN_WORK = [
    (RUNNING, "Being answered: turn cccccccc has been running the tool shell for 40 s."),
    (
        a_turn(TurnState.RUNNING, what="waiting for the model", seconds=3.2),
        "Being answered: turn cccccccc has been waiting for the model for 3.2 s.",
    ),
    (
        a_turn(TurnState.RUNNING, attempt=3, deaths=2),
        (
            "Being answered: turn cccccccc has been running the tool shell for 40 s; 2 times "
            "before, its process died or gave it up."
        ),
    ),
    (
        a_turn(TurnState.RUNNING, hands=Hands.DEAD),
        (
            "Not answered yet: turn cccccccc lost its node, which died (north, process 12); it is "
            "taken over by this daemon."
        ),
    ),
    (
        a_turn(TurnState.RUNNING, hands=Hands.HANDED_OVER),
        (
            "Not answered yet: turn cccccccc was handed over by a daemon that stopped (north, "
            "process 12); this daemon takes it over."
        ),
    ),
    (
        a_turn(TurnState.RUNNING, hands=Hands.GIVEN_UP),
        "Not answered yet: turn cccccccc was given up on an error; this daemon takes it up again.",
    ),
]

OUTCOMES = [
    (a_story(), "Answered by turn cccccccc in 1.2 s."),
    (
        a_story(Outcome.INJECTED),
        "Heard by a turn that ran already (mode steer): answered by turn cccccccc in 1.2 s.",
    ),
    (
        a_story(Outcome.INJECTED, turn=RUNNING),
        (
            "Heard by a turn that ran already (mode steer): being answered: turn cccccccc has been "
            "running the tool shell for 40 s."
        ),
    ),
    (
        a_story(Outcome.INJECTED, turn=FAILED),
        (
            "Heard by a turn that ran already (mode steer): not answered: turn cccccccc failed "
            "(timeout: no word for 60 s)."
        ),
    ),
    (
        a_story(Outcome.SUPERSEDED, superseded_by=NEWER),
        (
            "Not answered: superseded by message bbbbbbbb, which was answered by turn cccccccc in "
            "1.2 s."
        ),
    ),
    (
        a_story(Outcome.SUPERSEDED),
        "Not answered: superseded by a newer one, which was answered by turn cccccccc in 1.2 s.",
    ),
    (
        a_story(Outcome.SUMMARIZED),
        (
            "Not answered by itself: it gave up its place because its conversation was full; its "
            "summary was read by turn cccccccc: answered by turn cccccccc in 1.2 s."
        ),
    ),
    (
        a_story(Outcome.SUMMARIZED, state=State.OVERFLOWED),
        (
            "Not answered by itself: it gave up its place because its conversation was full. The "
            "next turn of its conversation reads a summary of it."
        ),
    ),
    (
        a_story(Outcome.INTERRUPTED, turn=a_turn(TurnState.INTERRUPTED)),
        (
            "Cut short: turn cccccccc was ended by `/stop`, by `/new`, or by a newer message (mode "
            "interrupt) before it had said anything."
        ),
    ),
    (
        a_story(
            Outcome.INTERRUPTED,
            turn=a_turn(TurnState.INTERRUPTED),
            deliveries=(a_delivery(),),
        ),
        (
            "Cut short: turn cccccccc was ended by `/stop`, by `/new`, or by a newer message (mode "
            "interrupt); what it had said is kept."
        ),
    ),
    (
        a_story(Outcome.FAILED, turn=FAILED),
        "Not answered: turn cccccccc failed (timeout: no word for 60 s).",
    ),
    # What `/new` says is no answer to what stands behind it.
    (
        a_story(deliveries=(a_delivery(kind="notice", of_command=True), a_delivery())),
        "Answered by turn cccccccc in 1.2 s.",
    ),
    (
        a_story(deliveries=(a_delivery(kind="notice", of_command=True),)),
        "Taken up by turn cccccccc, which ended without a word.",
    ),
    (a_story(Outcome.WITHDRAWN), "Not answered: taken back."),
    (a_story(Outcome.COMMAND), "A command: it was answered at once, without a turn."),
    (
        a_story(Outcome.COMMAND, deliveries=(a_delivery(DeliveryState.DEAD),)),
        (
            "A command: it was answered at once, without a turn, but the answer could not be "
            "delivered: the chat is gone."
        ),
    ),
    (
        a_story(Outcome.DROPPED),
        "Not answered: dropped, because its conversation was full.",
    ),
    (
        a_story(Outcome.MUTED),
        "Not answered: the assistant was not allowed to speak here (send policy).",
    ),
    (
        a_story(deliveries=()),
        "Taken up by turn cccccccc, which ended without a word.",
    ),
    (
        a_story(deliveries=(a_delivery(kind="notice"),)),
        "Taken up by turn cccccccc, to which the model answered with nothing; a notice says so.",
    ),
    # What was said about others is no answer.
    (
        a_story(deliveries=(a_delivery(is_summary=True),)),
        "Taken up by turn cccccccc, which ended without a word.",
    ),
    (
        a_story(deliveries=(a_delivery(DeliveryState.DEAD, is_summary=True), a_delivery())),
        "Answered by turn cccccccc in 1.2 s.",
    ),
]

_ANSWERED = "Answered by turn cccccccc in 1.2 s"
DELIVERIES = [
    (a_delivery(), f"{_ANSWERED}."),
    (
        a_delivery(DeliveryState.SENDING, attempts=2),
        f"{_ANSWERED}; the answer is being delivered (attempt 2).",
    ),
    (a_delivery(DeliveryState.PENDING), f"{_ANSWERED}; the answer is about to be delivered."),
    (
        a_delivery(DeliveryState.PENDING, attempts=3, not_before=ago(-5), unknown=1),
        (
            f"{_ANSWERED}; the answer could not be delivered yet: 3 attempts failed, of which 1 "
            "may have arrived, the next attempt is in 5.0 s."
        ),
    ),
    (
        a_delivery(DeliveryState.PENDING, attempts=1, not_before=ago(1)),
        (
            f"{_ANSWERED}; the answer could not be delivered yet: 1 attempt failed, the next "
            "attempt is now."
        ),
    ),
    (
        a_delivery(DeliveryState.PENDING, is_open=False),
        f"{_ANSWERED}, but the channel telegram is not open here; the answer is kept.",
    ),
    (
        a_delivery(DeliveryState.DEAD),
        f"{_ANSWERED}, but the answer could not be delivered: the chat is gone.",
    ),
]


@pytest.mark.parametrize(("story", "headline"), [*WAITING, *OUTCOMES])
def test_every_fate_has_its_sentence(story: Story, headline: str) -> None:
    assert explain(story).headline == headline


@pytest.mark.parametrize(("turn", "headline"), IN_WORK)
def test_a_running_turn_is_told_with_what_it_is_at(turn: object, headline: str) -> None:
    assert explain(a_story(None, turn=turn)).headline == headline  # type: ignore[arg-type]


@pytest.mark.parametrize(("delivery", "headline"), DELIVERIES)
def test_an_answer_that_did_not_arrive_is_told(delivery: object, headline: str) -> None:
    assert explain(a_story(deliveries=(delivery,))).headline == headline  # type: ignore[arg-type]


_RULES = [
    LaneRules(mode, cap=cap, drop=drop)
    for mode, cap, drop in product(get_args(Mode), (1, 20), get_args(Drop))
]


@pytest.mark.parametrize(("story", "headline"), OUTCOMES)
def test_the_rules_in_force_are_no_cause_of_what_is_over(story: Story, headline: str) -> None:
    assert {explain(replace(story, rules=rules)).headline for rules in _RULES} == {headline}


def test_nobody_is_advised_to_choose_what_is_in_force() -> None:
    story = a_story(Outcome.DROPPED, rules=LaneRules("steer", drop="summarize"))
    assert explain(story).next_step == "Say again what still matters."


_KINDS = ("reply", "notice")
_SAID = [(a_delivery(state, kind=kind),) for state in DeliveryState for kind in _KINDS]
_EVERY = [
    a_story(outcome, state=state, turn=a_turn(turn, hands=hands), deliveries=deliveries)
    for state, outcome, turn, hands, deliveries in product(
        State, [None, *Outcome], TurnState, Hands, [(), *_SAID]
    )
]


def test_whatever_a_row_holds_there_is_a_whole_sentence_for_it() -> None:
    for story in _EVERY:
        explanation = explain(story)
        assert re.fullmatch(r"[A-Z].*\.", explanation.headline), explanation
        assert "None" not in explanation.headline
        assert 0 < len(explanation.brief) <= 60, explanation
        assert explanation.next_step is None or explanation.next_step.endswith((".", ":"))
        assert explanation.history


def test_the_table_has_every_state_and_outcome() -> None:
    told = [story for story, _ in [*WAITING, *OUTCOMES]]
    assert {story.message.outcome for story in told} == {None, *Outcome}
    assert {story.message.state for story in told} | {State.TAKEN} == set(State)
    assert {each.state for each, _ in DELIVERIES} == set(DeliveryState)


async def test_what_the_database_may_hold_is_what_the_words_know(database: Database) -> None:
    """A new state or outcome fails here until it has its sentence."""
    known = {
        ("inbox", "state"): set(State),
        ("inbox", "outcome"): set(Outcome),
        ("turn", "state"): set(TurnState),
        ("outbox", "state"): set(DeliveryState),
    }
    for (table, column), words in known.items():
        [constraint] = await database.fetch(
            "SELECT pg_get_constraintdef(oid) AS words FROM pg_constraint WHERE conname = $1",
            f"{table}_{column}_check",
        )
        assert set(re.findall(r"'(\w+)'", constraint["words"])) == words


def test_only_the_brief_words_of_a_good_end_hide_the_turns() -> None:
    assert explain(a_story(Outcome.SUPERSEDED)).brief == "superseded"
    assert explain(a_story(Outcome.SUPERSEDED, turn=FAILED)).brief == "superseded, failed"
    dead = a_story(Outcome.INJECTED, deliveries=(a_delivery(DeliveryState.DEAD),))
    assert explain(dead).brief == "heard by a running turn, not delivered"


@pytest.mark.parametrize(
    ("story", "words"),
    [
        (waiting(RUNNING), "The turn hears it before its next tool call"),
        (waiting(RUNNING), "`/stop` in its conversation ends the turn"),
        (waiting(a_turn(TurnState.RUNNING, stop_requested=True)), "was asked to end"),
        (waiting(a_turn(TurnState.RUNNING, hands=Hands.DEAD)), "Nothing has to be done"),
        (waiting(), "queue.max_concurrency"),
        (
            a_story(Outcome.DROPPED, rules=LaneRules("steer", drop="oldest")),
            "`/queue drop:summarize`",
        ),
        (a_story(Outcome.MUTED), "queue.send_policy"),
        (a_story(Outcome.MUTED, sends=False), "`/send on`"),
        (a_story(Outcome.SUMMARIZED, state=State.OVERFLOWED), "`/stop`"),
        (a_story(deliveries=()), "Say it again."),
        (
            a_story(deliveries=(a_delivery(DeliveryState.DEAD, attempts=2, unknown=2),)),
            "It may have arrived 2 times: look into the chat before you say it again.",
        ),
        (a_story(deliveries=(a_delivery(DeliveryState.DEAD),)), "opencraw deliveries retry"),
        (
            a_story(deliveries=(a_delivery(DeliveryState.PENDING, is_open=False),)),
            "Enable channels.telegram",
        ),
    ],
)
def test_what_can_be_done_is_said(story: Story, words: str) -> None:
    assert words in (explain(story).next_step or "")


def test_a_turn_of_other_rights_or_another_address_is_not_said_to_hear() -> None:
    next_step = explain(waiting(a_turn(TurnState.RUNNING, may_hear=False))).next_step
    assert next_step == "`/stop` in its conversation ends the turn and takes back what waits."


def test_how_a_message_was_steered_is_derived_from_its_outcome() -> None:
    steered = {outcome: a_story(outcome).steer_outcome for outcome in Outcome}
    assert {name for name, how in steered.items() if how} == {
        Outcome.INJECTED,
        Outcome.SUPERSEDED,
    }
    assert a_story(None, turn=RUNNING).steer_outcome is None
