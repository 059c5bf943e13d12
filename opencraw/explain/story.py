"""All that is known of one message at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

from opencraw.queue.failures import Failure
from opencraw.queue.rules import LaneRules
from opencraw.sessions.choice import QueueChoice


class State(StrEnum):
    """How far a message has come; the states of `inbox`."""

    WAITING = "waiting"
    OVERFLOWED = "overflowed"
    TAKEN = "taken"
    DONE = "done"


class Outcome(StrEnum):
    """What became of a message; the outcomes of `inbox`. A message that a turn answers gets the
    turn's when it ends, the others have theirs as soon as it is decided."""

    ANSWERED = "answered"
    INJECTED = "injected"
    SUPERSEDED = "superseded"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"
    COMMAND = "command"
    SUMMARIZED = "summarized"
    DROPPED = "dropped"
    MUTED = "muted"


class TurnState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


class DeliveryState(StrEnum):
    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class MessageFacts:
    """The message as it was accepted, and what became of it."""

    id: UUID
    session_id: UUID
    channel: str
    account: str
    chat: str
    thread: str
    sender_id: str
    sender_name: str
    rights: str
    origin: str
    trigger_type: str
    correlation_id: UUID
    #: Its beginning.
    text: str
    accepted_at: datetime
    state: State
    outcome: Outcome | None = None


class Hands(StrEnum):
    """In whose hands a running turn is."""

    #: Of a daemon whose lease lives.
    WORKING = "working"
    #: Its daemon stopped and handed it over; nobody has it yet.
    HANDED_OVER = "handed over"
    #: The lease of its daemon is over.
    DEAD = "dead"
    #: Ours, after we gave it up on an error.
    GIVEN_UP = "given up"


@dataclass(frozen=True, slots=True)
class Work:
    """What goes on in a running turn: in whose hands it is, what it is at, and for how many seconds
    it has shown no other sign of life."""

    hands: Hands
    what: str
    seconds: float


@dataclass(frozen=True, slots=True)
class TurnFacts:
    """The turn that took the message up or, while it waits, the one that runs in its lane."""

    id: UUID
    state: TurnState
    model: str
    pool: str
    #: It answers at the message's address, for somebody with the same rights.
    may_hear: bool
    attempt: int
    deaths: int
    stop_requested: bool
    started_at: datetime
    ended_at: datetime | None
    failure: Failure | None
    #: Host and process of its daemon, while they are known.
    owner: str | None
    #: None unless it runs.
    work: Work | None
    queue_collected_messages: int
    queue_debounced_messages: int
    queue_dropped_messages: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int


@dataclass(frozen=True, slots=True)
class DeliveryFacts:
    """One outbound message of the turn, or the answer to a command."""

    id: UUID
    kind: Literal["reply", "notice"]
    state: DeliveryState
    attempts: int
    #: Of the attempts, how many may have arrived.
    unknown: int
    created_at: datetime
    not_before: datetime | None
    failure: str | None
    #: Its channel is open in this process.
    is_open: bool
    #: It tells of messages that gave up their places, and answers nobody.
    is_summary: bool
    #: It answers a command that stood before the message, as in `/new what is 6*7?`.
    of_command: bool


@dataclass(frozen=True, slots=True)
class ReactionFacts:
    """An emoji that somebody put to what the turn said."""

    emoji: str
    #: 1 is good, -1 is poor, 0 says nothing about it.
    verdict: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Story:
    """A message and all that bears on it."""

    now: datetime
    message: MessageFacts
    rules: LaneRules
    choice: QueueChoice
    #: Whether the assistant speaks in this conversation, as its people chose.
    sends: bool | None
    #: How many older messages of the lane wait.
    ahead: int
    turn: TurnFacts | None
    #: When the turn heard it on its way.
    heard_at: datetime | None
    #: The message that its turn answers, where that is another one.
    superseded_by: UUID | None
    deliveries: tuple[DeliveryFacts, ...]
    #: How many daemons hold a lease.
    nodes: int
    #: How many turns run in this process.
    turns_running: int
    #: What people think of what the turn said, in order.
    reactions: tuple[ReactionFacts, ...] = ()

    @property
    def answer(self) -> DeliveryFacts | None:
        """The delivery that answers the message, once its turn has ended."""
        for each in self.deliveries:
            if not each.is_summary and not (each.of_command and self.turn is not None):
                return each
        return None

    @property
    def steer_outcome(self) -> Literal["injected", "superseded"] | None:
        """`queue_steer_outcome`: how a turn took it up that did not begin with it."""
        match self.message.outcome:
            case Outcome.INJECTED:
                return "injected"
            case Outcome.SUPERSEDED:
                return "superseded"
            case _:
                return None
