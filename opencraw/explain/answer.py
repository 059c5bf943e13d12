"""An explanation as programs read it; docs/explain.md describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from opencraw.explain.sentences import Explanation
from opencraw.explain.story import DeliveryFacts, Story, TurnFacts


def as_json(story: Story, explanation: Explanation) -> Mapping[str, object]:
    """A message, its lane, its turn and its deliveries, as plain values."""
    message, turn, rules = story.message, story.turn, story.rules
    return {
        "message_id": str(message.id),
        "brief": explanation.brief,
        "headline": explanation.headline,
        "next_step": explanation.next_step,
        "history": [{"at": each.at, "what": each.what} for each in explanation.history],
        "message": {
            "text": message.text,
            "accepted_at": message.accepted_at,
            "age_seconds": round((story.now - message.accepted_at).total_seconds(), 1),
            "channel": message.channel,
            "account": message.account,
            "chat": message.chat,
            "thread": message.thread,
            "sender_id": message.sender_id,
            "sender_name": message.sender_name,
            "rights": message.rights,
            "origin": message.origin,
            "trigger_type": message.trigger_type,
            "correlation_id": str(message.correlation_id),
            "state": message.state,
            "outcome": message.outcome,
            "queue_steer_outcome": story.steer_outcome,
            "superseded_by": story.superseded_by and str(story.superseded_by),
        },
        "lane": {
            "session_id": str(message.session_id),
            "ahead": story.ahead,
            "mode": rules.mode,
            "debounce_ms": rules.debounce_ms,
            "debounce_window": rules.debounce_window,
            "cap": rules.cap,
            "drop": rules.drop,
            "sends": story.sends,
        },
        "turn": None if turn is None else _turn_json(turn),
        "deliveries": [_delivery_json(each) for each in story.deliveries],
        "reactions": [asdict(each) for each in story.reactions],
    }


def _turn_json(turn: TurnFacts) -> Mapping[str, object]:
    return asdict(turn) | {"id": str(turn.id)}


def _delivery_json(delivery: DeliveryFacts) -> Mapping[str, object]:
    return asdict(delivery) | {"id": str(delivery.id)}
