"""The points of a turn's life at which operator code is called, and what it may decide there.

At most points a hook only looks on. At three it is asked: it may deny what is about to happen, and
at two of them put something else in its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec

from opencraw.store.text import storable

#: What a hook is told: plain values that JSON can say.
Facts = Mapping[str, object]

LONGEST_REASON = 1_000


class Point(StrEnum):
    """Where in a turn's life, or in the daemon's."""

    GATEWAY_START = "gateway_start"
    MESSAGE_RECEIVED = "message_received"
    TURN_STARTED = "turn_started"
    BEFORE_COMPACTION = "before_compaction"
    AFTER_COMPACTION = "after_compaction"
    BEFORE_TOOL_CALL = "before_tool_call"
    AFTER_TOOL_CALL = "after_tool_call"
    TURN_ENDED = "turn_ended"
    MESSAGE_SENDING = "message_sending"
    GATEWAY_STOP = "gateway_stop"


#: The same, as the configuration file writes it.
PointName = Literal[
    "gateway_start",
    "message_received",
    "turn_started",
    "before_compaction",
    "after_compaction",
    "before_tool_call",
    "after_tool_call",
    "turn_ended",
    "message_sending",
    "gateway_stop",
]


@dataclass(frozen=True, slots=True)
class Go:
    """It happens, with `changes` in place of the facts of the same names."""

    changes: Facts


@dataclass(frozen=True, slots=True)
class Denied:
    """It does not happen; `reason` is told to whoever wanted it."""

    reason: str


Verdict = Go | Denied

GO = Go({})


class HookFailed(Exception):
    """A hook did not do its part. The text is for the operator."""


class AnswerInvalid(HookFailed):
    """It answered what cannot be meant at its point."""


class NoChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What nothing can be put in place of."""


class ToolCallChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What may take the place of a tool call's facts."""

    arguments: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class MessageChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What may take the place of a message's facts."""

    text: Annotated[str, msgspec.Meta(min_length=1)] | msgspec.UnsetType = msgspec.UNSET


#: The points at which hooks are asked, each with what they may change.
ASKED: Mapping[Point, type[msgspec.Struct]] = {
    Point.BEFORE_TOOL_CALL: ToolCallChange,
    Point.MESSAGE_RECEIVED: NoChange,
    Point.MESSAGE_SENDING: MessageChange,
}


def checked(point: Point, answer: object) -> Verdict:
    """A hook's answer, if it can be meant at this point; None means that it has no objection.

    Raises `AnswerInvalid`.
    """
    match answer:
        case None:
            return GO
        case Go(changes) if not changes:
            return GO
        case Go() | Denied() if point not in ASKED:
            raise AnswerInvalid(f"it decided something, and at {point} hooks only look on")
        case Denied(str(reason)) if reason.strip():
            return Denied(storable(reason.strip())[:LONGEST_REASON])
        case Denied():
            raise AnswerInvalid("it denied without a reason")
        case Go(changes):
            return Go(_fitting(point, changes))
    raise AnswerInvalid(f"it answered with {type(answer).__name__}, not with a verdict")


def _fitting(point: Point, changes: Facts) -> Facts:
    """`changes` as plain JSON values of their own, which nobody else can alter."""
    try:
        plain = msgspec.json.decode(msgspec.json.encode(changes))
        fitting = msgspec.convert(plain, ASKED[point])
    # Encoding raises what it likes: for bytes that are no text, for objects, for circles.
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
        raise AnswerInvalid(f"its changes cannot be used: {error}") from error
    return {name: value for name, value in msgspec.structs.asdict(fitting).items()
            if value is not msgspec.UNSET}  # fmt: skip
