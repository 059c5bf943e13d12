"""What a command changes in its conversation."""

from __future__ import annotations

from dataclasses import dataclass

from opencraw.sessions.choice import QueueChoice


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
