"""The names of conversations: anybody can compute them, nobody needs to look them up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Self
from uuid import UUID, uuid5

from opencraw.contract import Address, ChatType, Envelope, Listener, Rights
from opencraw.sessions.identity import Links

#: Which direct chats of an owner are one conversation.
DmScope = Literal["per-account-channel-peer", "per-channel-peer", "per-peer", "main"]

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

    @property
    def keys(self) -> tuple[str, ...]:
        """Its own, and that of its address, by which rules may name it."""
        return (self.key, session_key(self.address, self.tenant))

    @classmethod
    def at(cls, address: Address, tenant: str) -> Self:
        """The conversation of this address alone."""
        return cls._named(session_key(address, tenant), address, tenant)

    @classmethod
    def of_owner(cls, shared_by: tuple[str, ...], address: Address, tenant: str) -> Self:
        """One that goes on at several addresses. It has fewer parts than an address has, so that no
        address has its name."""
        return cls._named(_key(tenant, AGENT, *shared_by), address, tenant)

    @classmethod
    def _named(cls, key: str, address: Address, tenant: str) -> Self:
        return cls(id_of_key(key), key, address, tenant)


class Conversations:
    """Who shares a conversation.

    Only direct chats of owners are ever joined. A group has its listeners, and what an owner says
    in private must not come up in the answer to a guest, whoever that is on another channel.
    """

    def __init__(
        self,
        scope: DmScope = "per-account-channel-peer",
        links: Links | None = None,
        listener: Callable[[Address], Listener | None] = lambda _address: None,
    ) -> None:
        """`listener` tells who is at an address, as far as that can be told at once."""
        self._scope = scope
        self._links = links or Links()
        self.listener = listener

    def of(self, envelope: Envelope) -> Conversation:
        """The conversation to which a message belongs."""
        listener = Listener(envelope.chat_type, envelope.sender)
        return self.heard_by(listener, envelope.address, envelope.tenant)

    def at(self, address: Address, tenant: str) -> Conversation:
        """The conversation that goes on at `address`, as far as can be told at once."""
        return self.heard_by(self.listener(address), address, tenant)

    def heard_by(self, listener: Listener | None, address: Address, tenant: str) -> Conversation:
        """The conversation that goes on at `address`, where `listener` is."""
        shared_by = self._shared_by(address.channel, listener)
        if shared_by is None:
            return Conversation.at(address, tenant)
        return Conversation.of_owner(shared_by, address, tenant)

    def _shared_by(self, channel: str, listener: Listener | None) -> tuple[str, ...] | None:
        if listener is None or listener.sender is None:
            return None
        sender = listener.sender
        if listener.chat_type is not ChatType.DIRECT or sender.rights is not Rights.OWNER:
            return None
        match self._scope:
            case "per-account-channel-peer":
                return None
            case "main":
                return ("owners",)
            case "per-peer" if name := self._links.name(channel, sender.id):
                return ("person", name)
            case _:
                return ("direct", channel, sender.id)


def session_key(address: Address, tenant: str, agent: str = AGENT) -> str:
    """The durable name of the conversation at `address`, readable and unambiguous."""
    return _key(tenant, agent, address.channel, address.account, address.chat, address.thread)


def session_id(address: Address, tenant: str) -> UUID:
    """The id that belongs to the key."""
    return id_of_key(session_key(address, tenant))


def id_of_key(key: str) -> UUID:
    """The id of the session that has this key."""
    return uuid5(_SESSIONS, key)


def is_key_of(key: str, address: Address, tenant: str, *, sender: str, is_direct: bool) -> bool:
    """Whether a conversation that `sender` began at `address` may have this key: its own, or one
    that direct chats share."""
    if key == session_key(address, tenant):
        return True
    person = key.rpartition("/")[2].replace("%2F", "/").replace("%25", "%")
    shared = [("owners",), ("person", person), ("direct", address.channel, sender or person)]
    return is_direct and key in [_key(tenant, AGENT, *parts) for parts in shared]


def _key(*parts: str) -> str:
    return "/".join(part.replace("%", "%25").replace("/", "%2F") for part in parts)


def reply_id(asked: UUID) -> UUID:
    """The delivery that answers what was `asked`, a turn or a command."""
    return uuid5(asked, "reply")
