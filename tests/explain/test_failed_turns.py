"""What is said of a turn that failed, kind by kind."""

from __future__ import annotations

import pytest

from opencraw.errors import FailureKind
from opencraw.explain.history import history
from opencraw.explain.sentences import explain
from opencraw.explain.story import Outcome, Story, TurnState
from opencraw.queue.failures import Failure, Fault
from tests.explain.stories import TURN, a_story, a_turn


def failed(kind: FailureKind | Fault, detail: str = "") -> Story:
    turn = a_turn(TurnState.FAILED, failure=Failure(kind, detail), deaths=8)
    return a_story(Outcome.FAILED, turn=turn)


@pytest.mark.parametrize(
    ("story", "became"),
    [
        (
            failed(Fault.STUCK, "running the tool shell"),
            "was stuck running the tool shell, and was ended.",
        ),
        (
            failed(Fault.DEATHS),
            "was given up, because its process broke off 8 times while it worked on it.",
        ),
        (failed(Fault.INTERNAL, "KeyError"), "failed (internal: KeyError)."),
        (failed(FailureKind.AUTH, "no: never"), "failed (auth: no: never)."),
    ],
)
def test_what_became_of_the_turn_is_told(story: Story, became: str) -> None:
    assert explain(story).headline == f"Not answered: turn cccccccc {became}"


@pytest.mark.parametrize("kind", FailureKind)
def test_every_way_in_which_a_model_fails_has_a_remedy(kind: FailureKind) -> None:
    next_step = explain(failed(kind, "in detail")).next_step
    assert next_step is not None
    assert next_step.endswith(" Say it again.")
    assert not next_step.startswith("The daemon's log")


@pytest.mark.parametrize("kind", Fault)
def test_what_was_not_for_the_model_is_looked_up_in_the_log(kind: Fault) -> None:
    next_step = explain(failed(kind)).next_step
    assert next_step == f"The daemon's log has more under {TURN}. Say it again."


def test_the_history_ends_with_the_failure() -> None:
    story = failed(FailureKind.TIMEOUT, "no word for 60 s")
    assert history(story)[-1].what == "the turn ended: timeout: no word for 60 s"
