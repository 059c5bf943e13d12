"""The names of conversations: anybody can compute them, nobody needs to look them up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self
from uuid import UUID, uuid5

from opencraw.contract import Address

AGENT = "main"
_SESSIONS = UUID("6f70656e-6372-6177-8000-73657373696f")


@dataclass(frozen=True, slots=True)
class Conversation:
    """All names of one conversation, computed once where a message enters and then passed on."""

    #: Of its session.
    id: UUID
    key: str
    address: Address
    tenant: str

    @classmethod
    def at(cls, address: Address, tenant: str) -> Self:
        key = session_key(address, tenant)
        return cls(uuid5(_SESSIONS, key), key, address, tenant)


def session_key(address: Address, tenant: str, agent: str = AGENT) -> str:
    """The durable name of the conversation at `address`, readable and unambiguous."""
    parts = (tenant, agent, address.channel, address.account, address.chat, address.thread)
    return "/".join(part.replace("%", "%25").replace("/", "%2F") for part in parts)


def session_id(address: Address, tenant: str) -> UUID:
    """The id that belongs to the key."""
    return uuid5(_SESSIONS, session_key(address, tenant))


def reply_id(asked: UUID) -> UUID:
    """The delivery that answers what was `asked`, a turn or a command."""
    return uuid5(asked, "reply")
