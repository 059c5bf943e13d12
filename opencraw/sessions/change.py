"""What a command changes in its conversation."""

from __future__ import annotations

from dataclasses import dataclass

from opencraw.sessions.choice import QueueChoice


@dataclass(frozen=True, slots=True)
class Reset:
    """The conversation begins anew. What ran or waited in it has ended."""


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


Change = Reset | Stop | ChooseQueue | ChooseModel | Speak
