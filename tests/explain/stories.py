"""Stories as a table needs them: one that went well, with what is different about the others."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from opencraw.errors import FailureKind
from opencraw.explain.story import (
    DeliveryFacts,
    DeliveryState,
    Hands,
    MessageFacts,
    Outcome,
    State,
    Story,
    TurnFacts,
    TurnState,
    Work,
)
from opencraw.queue.failures import Failure
from opencraw.queue.rules import LaneRules
from opencraw.sessions.choice import QueueChoice

NOW = datetime(2026, 11, 21, 12, 1, tzinfo=UTC)
MESSAGE = UUID("aaaaaaaa-0000-4000-8000-000000000001")
NEWER = UUID("bbbbbbbb-0000-4000-8000-000000000002")
TURN = UUID("cccccccc-0000-4000-8000-000000000003")
REPLY = UUID("dddddddd-0000-4000-8000-000000000004")

USUAL = LaneRules("steer", debounce_ms=250)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


NO_WORD = Failure(FailureKind.TIMEOUT, "no word for 60 s")


def a_turn(
    state: TurnState = TurnState.DONE,
    *,
    hands: Hands = Hands.WORKING,
    what: str = "running the tool shell",
    seconds: float = 40.0,
    **different: Any,
) -> TurnFacts:
    running = state is TurnState.RUNNING
    turn = TurnFacts(
        id=TURN,
        state=state,
        model="demo/assistant",
        pool="interactive",
        may_hear=True,
        attempt=1,
        deaths=0,
        stop_requested=False,
        started_at=ago(59.75),
        ended_at=None if running else ago(58.8),
        failure=NO_WORD if state is TurnState.FAILED else None,
        owner="north, process 12",
        work=Work(hands, what, seconds) if running else None,
        queue_collected_messages=0,
        queue_debounced_messages=0,
        queue_dropped_messages=0,
        prompt_tokens=7,
        completion_tokens=3,
        cached_tokens=0,
    )
    return replace(turn, **different)


def a_delivery(state: DeliveryState = DeliveryState.SENT, **different: Any) -> DeliveryFacts:
    delivery = DeliveryFacts(
        id=REPLY,
        kind="reply",
        state=state,
        attempts=0 if state is DeliveryState.PENDING else 1,
        unknown=0,
        created_at=ago(58.8),
        not_before=None,
        failure="the chat is gone" if state is DeliveryState.DEAD else None,
        is_open=True,
        is_summary=False,
        of_command=False,
    )
    return replace(delivery, **different)


def a_story(
    outcome: Outcome | None = Outcome.ANSWERED,
    *,
    state: State | None = None,
    turn: TurnFacts | None = None,
    deliveries: tuple[DeliveryFacts, ...] | None = None,
    rules: LaneRules = USUAL,
    **different: Any,
) -> Story:
    """A message that came a minute ago. Where nothing else is said, its turn answered it."""
    if turn is None and outcome not in _WITHOUT_TURN:
        turn = a_turn()
    if deliveries is None:
        deliveries = (a_delivery(),) if turn and turn.state is TurnState.DONE else ()
    message = MessageFacts(
        id=MESSAGE,
        session_id=UUID(int=1),
        channel="telegram",
        account="bot",
        chat="7",
        thread="",
        sender_id="u1",
        sender_name="Ada",
        rights="owner",
        origin="channel",
        trigger_type="message",
        correlation_id=UUID(int=2),
        text="what is 6*7?",
        accepted_at=ago(60),
        state=state or (State.TAKEN if outcome is None else State.DONE),
        outcome=outcome,
    )
    story = Story(
        now=NOW,
        message=message,
        rules=rules,
        choice=QueueChoice(),
        sends=None,
        ahead=0,
        turn=turn,
        heard_at=None,
        superseded_by=None,
        deliveries=deliveries,
        nodes=1,
        turns_running=0,
    )
    return replace(story, **different)


_WITHOUT_TURN = {Outcome.WITHDRAWN, Outcome.COMMAND, Outcome.DROPPED, Outcome.MUTED}


def waiting(turn: TurnFacts | None = None, **different: Any) -> Story:
    """A message that waits, behind this turn or behind none."""
    message = replace(a_story().message, state=State.WAITING, outcome=None)
    message = replace(message, accepted_at=different.pop("accepted_at", message.accepted_at))
    return replace(a_story(deliveries=()), message=message, turn=turn, **different)
