"""What happened to a message, one line after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from opencraw.explain.story import (
    DeliveryFacts,
    DeliveryState,
    ReactionFacts,
    State,
    Story,
    TurnFacts,
)
from opencraw.explain.words import plural, short, times


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of a message's history; when it was, as far as that is on record."""

    at: datetime | None
    what: str


def history(story: Story) -> Sequence[Moment]:
    """What happened to the message of this story, in order."""
    message, turn = story.message, story.turn
    moments = [
        Moment(
            message.accepted_at,
            f"accepted from {message.sender_name or message.sender_id} on {message.channel}",
        )
    ]
    if turn is None or message.state in (State.WAITING, State.OVERFLOWED):
        return moments + [_sent(each) for each in story.deliveries]
    began = Moment(turn.started_at, f"turn {short(turn.id)} began{_company(turn)}")
    if story.heard_at is not None:
        # The turn is older than the message.
        moments.insert(0, began)
        moments.append(Moment(story.heard_at, "heard by the turn on its way"))
    else:
        moments.append(began)
    if turn.attempt > 1:
        died = f": {times(turn.deaths)} its process died or gave it up" if turn.deaths else ""
        moments.append(Moment(None, f"attempt {turn.attempt} of the turn{died}"))
    if turn.ended_at is not None:
        how = turn.state if turn.failure is None else turn.failure.text
        moments.append(Moment(turn.ended_at, f"the turn ended: {how}"))
    moments += [_sent(each) for each in story.deliveries]
    return moments + [_reacted(each) for each in story.reactions]


def _reacted(reaction: ReactionFacts) -> Moment:
    says = {1: ", which is good", -1: ", which is poor"}.get(reaction.verdict, "")
    return Moment(reaction.at, f"somebody put {reaction.emoji} to what it said{says}")


def tried(delivery: DeliveryFacts) -> str:
    """How often it was tried in vain."""
    unknown = f", of which {delivery.unknown} may have arrived" if delivery.unknown else ""
    return f"{plural(delivery.attempts, 'attempt')} failed{unknown}"


def _company(turn: TurnFacts) -> str:
    """What else the turn took up."""
    with_it = [
        f"{turn.queue_collected_messages} messages in one" if turn.queue_collected_messages else "",
        f"first of a burst of {turn.queue_debounced_messages}"
        if turn.queue_debounced_messages
        else "",
        f"{plural(turn.queue_dropped_messages, 'message')} not answered one by one"
        if turn.queue_dropped_messages
        else "",
    ]
    return "".join(f", {each}" for each in with_it if each)


def _sent(delivery: DeliveryFacts) -> Moment:
    noun = "summary" if delivery.is_summary else delivery.kind
    name = short(delivery.id)
    match delivery.state:
        case DeliveryState.SENT:
            what = f"{noun} {name} delivered, {plural(delivery.attempts, 'attempt')}"
        case DeliveryState.SENDING:
            what = f"{noun} {name} is being delivered, attempt {delivery.attempts}"
        case DeliveryState.PENDING if delivery.attempts:
            what = f"{noun} {name} not delivered yet: {tried(delivery)}"
        case DeliveryState.PENDING:
            what = f"{noun} {name} not delivered yet"
        case DeliveryState.DEAD:
            what = f"{noun} {name} given up after {plural(delivery.attempts, 'attempt')}"
        case _:
            assert_never(delivery.state)
    return Moment(delivery.created_at, what)
