"""A mailbox of ours: who we are in it, what is said to us there, and what it did not hand out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

from channels.mail.addresses import Person, all_normalised, normalised
from channels.mail.arriving import Arrivals
from channels.mail.heading import Rules
from channels.mail.tries import Tries
from opencraw.contract import Address
from opencraw.errors import AccountRefused, Refused
from opencraw.settings import AccessSettings


class MailSettings(Protocol):
    """What the settings of every mailbox say."""

    address: str
    name: str
    aliases: list[str]
    authserv_id: str
    access: AccessSettings


@dataclass(frozen=True, slots=True)
class Account:
    """The mailbox of one channel."""

    channel: str
    person: Person
    arrivals: Arrivals
    tries: Tries

    @classmethod
    def of(cls, channel: str, settings: MailSettings) -> Self:
        """The mailbox that a channel's settings name. Raises `AccountRefused`."""
        address = normalised(settings.address)
        if address is None:
            raise AccountRefused(
                f"{settings.address!r} is no e-mail address. Set channels.{channel}.address."
            )
        access = settings.access
        listed = all_normalised([*access.owners, *access.allowed_senders])
        rules = Rules(address, settings.authserv_id, listed, all_normalised(settings.aliases))
        return cls(
            channel,
            Person(address, settings.name),
            Arrivals(channel, address, rules),
            Tries(channel, address, access.owners),
        )

    def conversation_with(self, recipient: str) -> Address:
        """A new conversation with somebody. Raises `Refused`."""
        known = normalised(recipient)
        if known is None:
            raise Refused(f"{recipient!r} is no e-mail address.", code="INVALID_FIELD")
        return Address(self.channel, self.person.id, known)
