"""What the door works with: who runs turns, where words and signs go, what everybody is held to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from opencraw.contract import Address, Delivery, Draft
from opencraw.events import Event
from opencraw.gateway.commands import Powers
from opencraw.gateway.limits import Limits
from opencraw.gateway.memories import Memories
from opencraw.gateway.models import Models
from opencraw.queue.inbox import Inbox
from opencraw.queue.rules import QueueRules
from opencraw.sessions.choice import QueueChoice
from opencraw.sessions.keys import Conversations
from opencraw.sessions.transcript import Sessions
from opencraw.sessions.voice import Voice


class Lanes(Protocol):
    """Whoever runs the turns. What is told here is a hint; the database has the truth already."""

    def is_crowded(self, session: UUID) -> bool: ...
    def refuses(self, session: UUID, channel: str, coming: int) -> int | None: ...
    def arrived(self, session: UUID, voice: Voice, origin: str) -> None: ...
    def repeated(self, session: UUID, voice: Voice, origin: str) -> None: ...
    def withdrawn(self, session: UUID) -> None: ...
    def choice_changed(self, session: UUID, channel: str, choice: QueueChoice) -> None: ...
    def stop(self, session: UUID) -> None: ...
    def draft(self, session: UUID, address: Address) -> Draft | None: ...


@dataclass(frozen=True)
class Outlets:
    """Where the door's own words and signs go, and where conversations go on."""

    deliver: Callable[[Delivery], None]
    show: Callable[[Address, Event], None]
    #: The names of the open channels.
    channels: Callable[[], tuple[str, ...]]
    conversations: Conversations = field(default_factory=Conversations)
    #: What is remembered of people, where that is on.
    memories: Memories | None = None


@dataclass(frozen=True)
class Desk:
    """All of it."""

    inbox: Inbox
    sessions: Sessions
    lanes: Lanes
    rules: QueueRules
    models: Models
    outlets: Outlets
    limits: Limits = field(default_factory=Limits)
    powers: Powers = field(default_factory=Powers)
