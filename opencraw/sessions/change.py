"""What a command changes in its conversation."""

from __future__ import annotations

from dataclasses import dataclass

from opencraw.sessions.choice import QueueChoice
from opencraw.store.text import storable

#: What some change sets, in the order in which `answer_command` takes it.
_SETS = ("model", "sends", "focus", "time_zone", "asks")


@dataclass(frozen=True, slots=True)
class Reset:
    """The conversation begins anew. What ran or waited in it has ended; what it `asks` is said
    first in the new one."""

    asks: str = ""


@dataclass(frozen=True, slots=True)
class Stop:
    """What runs ends, and what waits is taken back."""


@dataclass(frozen=True, slots=True)
class ChooseQueue:
    """Its queue behaves like this from now on."""

    choice: QueueChoice


@dataclass(frozen=True, slots=True)
class ChooseModel:
    """This model answers from now on; None is the default one."""

    label: str | None


@dataclass(frozen=True, slots=True)
class Speak:
    """Whether the assistant speaks there; None leaves it to the rules."""

    sends: bool | None


@dataclass(frozen=True, slots=True)
class Compact:
    """What was said up to now is summed up before the next answer, with an eye to `focus`."""

    focus: str = ""


@dataclass(frozen=True, slots=True)
class ChooseTimeZone:
    """Its days end by this clock from now on; None follows the configuration."""

    name: str | None


Change = Reset | Stop | ChooseQueue | ChooseModel | Speak | Compact | ChooseTimeZone


def columns(change: Change | None) -> tuple[object, ...]:
    """A change as `answer_command` reads it: what it is, then all that some change sets."""
    kind, queue, sets = "", QueueChoice(), dict[str, object]()
    match change:
        case None:
            pass
        case Reset(asks):
            kind, sets = "reset", {"asks": storable(asks) or None}
        case Stop():
            kind = "stop"
        case ChooseQueue(choice):
            kind, queue = "queue", choice
        case ChooseModel(label):
            kind, sets = "model", {"model": label}
        case Speak(sends):
            kind, sets = "send", {"sends": sends}
        case Compact(focus):
            kind, sets = "compact", {"focus": focus}
        case ChooseTimeZone(name):
            kind, sets = "timezone", {"time_zone": name}
    return (kind, *queue.columns, *(sets.get(column) for column in _SETS))
