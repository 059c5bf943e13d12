"""What every turn needs to be worked on."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from opencraw.context.assembly import Assembly
from opencraw.contract import Address, Delivery
from opencraw.events import Event
from opencraw.hooks import Hooks
from opencraw.memory.memory import Memory
from opencraw.model import Prompt, ToolSpec
from opencraw.queue.inbox import Inbox
from opencraw.queue.nodes import Node
from opencraw.queue.turns import Turn, Turns
from opencraw.runtime.loop import Brief, Ears, RuntimeEvent
from opencraw.runtime.purse import Purse
from opencraw.sessions.keeping import Keeping
from opencraw.sessions.lives import Lives
from opencraw.sessions.transcript import Sessions
from opencraw.worker.fetching import Fetching
from opencraw.worker.setbacks import Setbacks

#: A tool that outlives its own limit by so much takes no notice of it.
TOOL_GRACE_SECONDS = 15.0


class Runtime(Protocol):
    """Turns a history into events; see `opencraw.runtime.loop`."""

    @property
    def specs(self) -> Sequence[ToolSpec]: ...

    def run(
        self, brief: Brief, ears: Ears, purse: Purse | None
    ) -> AsyncGenerator[RuntimeEvent]: ...

    def ask(self, prompt: Prompt, purse: Purse | None) -> AsyncGenerator[RuntimeEvent]: ...


@dataclass(frozen=True, slots=True)
class Patience:
    """For how many seconds a turn may show no sign of life: a model between two of its words, and
    a tool, which has a limit of its own."""

    model: float
    tool: float


@dataclass(frozen=True, slots=True)
class Doing:
    """What a turn is at, for people. It is stuck when it shows no sign of life until `until`, on
    the loop's clock; waiting for our own database has no end."""

    what: str
    until: float = math.inf
    #: Its last sign of life, on the monotonic clock.
    since: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class Workshop:
    """What every turn needs."""

    node: Node
    inbox: Inbox
    turns: Turns
    sessions: Sessions
    keeping: Keeping
    assembly: Assembly
    #: The runtime for a model's label. Raises `ModelFailure` when it is not configured.
    runtime: Callable[[str], Runtime]
    show: Callable[[Address, Event], None]
    deliver: Callable[[Delivery], None]
    patience: Patience
    #: What ends conversations by themselves, if anything does.
    lives: Lives | None = None
    #: Who pays for a turn's model calls, where somebody counts what they cost.
    purse: Callable[[Turn], Purse | None] = lambda _turn: None
    #: Operator code that looks on, or is asked.
    hooks: Hooks = field(default_factory=Hooks)
    #: What brings the files of messages; None where messages have none.
    fetching: Fetching | None = None
    #: What is known beyond a conversation; None when nothing is to be remembered.
    memory: Memory | None = None
    setbacks: Setbacks = field(default_factory=Setbacks)
