"""For whom a turn works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from opencraw.contract import Address, ChatType


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asked, where, and on which way it came: what decides what a turn may see and do.

    It is passed along by value. Whoever needs to know for whom he works is given this, and reads it
    nowhere else.
    """

    tenant: str
    session_id: UUID
    turn_id: UUID
    address: Address
    #: Empty is not known.
    sender_id: str
    rights: str
    origin: str
    #: Who listens there; None is not known.
    chat_type: str | None

    @property
    def alone(self) -> bool:
        """Nobody else listens. Where that is not known, somebody does."""
        return self.chat_type == ChatType.DIRECT

    @property
    def facts(self) -> Mapping[str, object]:
        """The same, as hooks are told."""
        return {
            "tenant": self.tenant,
            "session_id": self.session_id,
            "turn_id": self.turn_id,
            "channel_id": self.address.channel,
            "account": self.address.account,
            "chat": self.address.chat,
            "thread": self.address.thread,
            "chat_type": self.chat_type,
            "sender_id": self.sender_id,
            "rights": self.rights,
            "origin": self.origin,
        }
