"""What is remembered, as values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from opencraw.memory.scopes import Scopes

Kind = Literal["fact", "pre_compaction_flush"]
#: A longer fact is refused: it would fill the prompts in which it is recalled.
LONGEST_FACT = 2_000
#: What leaves the window was part of the conversation, which a fact need not be.
FLUSH_IMPORTANCE = 0.9


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth knowing later."""

    text: str
    importance: float = 0.5
    kind: Kind = "fact"


@dataclass(frozen=True, slots=True)
class Item:
    """One memory."""

    id: UUID
    scope: str
    kind: Kind
    text: str
    importance: float
    said_at: datetime
    created_at: datetime
    #: A person said that it is otherwise.
    corrected_at: datetime | None
    session_id: UUID | None
    from_seq: int | None
    to_seq: int | None


@dataclass(frozen=True, slots=True)
class Hit:
    """A memory that a search brought up; scores compare within one search only."""

    item: Item
    score: float


@dataclass(frozen=True, slots=True)
class Flush:
    """What leaves the window of a conversation, on its way into memory."""

    scopes: Scopes
    session_id: UUID
    from_seq: int
    through_seq: int
    channel_id: str
    sender_id: str
    message_count: int
    token_estimate: int
    #: What was said, verbatim.
    passages: tuple[str, ...]
    #: What a model found worth knowing in it.
    notes: tuple[Note, ...]


@dataclass(frozen=True, slots=True)
class KnownScope:
    """A scope that holds something: how much, as far as it was counted, and how new."""

    scope: str
    items: int
    newest: datetime
