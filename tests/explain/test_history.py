from __future__ import annotations

from opencraw.explain.history import history
from opencraw.explain.story import Outcome, TurnState
from tests.explain.stories import a_story, a_turn, ago, waiting


def test_the_history_is_in_order() -> None:
    turn = a_turn(attempt=2, deaths=1, queue_collected_messages=3, queue_dropped_messages=2)
    moments = history(a_story(turn=turn))
    assert [each.what for each in moments] == [
        "accepted from Ada on telegram",
        "turn cccccccc began, 3 messages in one, 2 messages not answered one by one",
        "attempt 2 of the turn: once its process died or gave it up",
        "the turn ended: done",
        "reply dddddddd delivered, 1 attempt",
    ]
    known = [each.at for each in moments if each.at is not None]
    assert known == sorted(known)


def test_a_turn_that_heard_a_message_began_before_it() -> None:
    turn = a_turn(started_at=ago(90))
    moments = history(a_story(Outcome.INJECTED, turn=turn, heard_at=ago(59)))
    assert [each.what for each in moments][:3] == [
        "turn cccccccc began",
        "accepted from Ada on telegram",
        "heard by the turn on its way",
    ]


def test_the_turn_before_a_waiting_message_is_not_its_history() -> None:
    assert [each.what for each in history(waiting(a_turn(TurnState.RUNNING)))] == [
        "accepted from Ada on telegram"
    ]
