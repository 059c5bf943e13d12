"""What is known of a mail before anybody has looked into it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from channels.mail.addresses import Person, writer
from channels.mail.authentication import came_straight, forged
from channels.mail.automatic import answers_nobody, written_by_a_program
from channels.mail.headers import Headers, read_headers, split_headers
from channels.mail.recipients import not_to_us
from channels.mail.threads import ReplyContext, message_id, reply_context, thread


class Ground(StrEnum):
    """Why mail is turned away before the door sees it."""

    AUTOMATIC = "automatic"
    FORGED = "forged"
    ELSEWHERE = "not written to us"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Rules:
    """How a mailbox looks at what comes in. Addresses are normalised."""

    #: The mailbox's own address.
    address: str
    #: The name in which our receiving server writes what it found out about a sender.
    authserv_id: str
    #: Senders that are let in by name, and so may be programs.
    listed: Collection[str]
    #: Other addresses whose mail comes here.
    aliases: Collection[str] = ()

    @property
    def own(self) -> frozenset[str]:
        """All our addresses."""
        return frozenset({self.address, *self.aliases})

    @property
    def domain(self) -> str:
        """The domain of our own message ids."""
        return self.address.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class Heading:
    """The top of a mail that may be offered."""

    sender: Person
    machine: bool
    subject: str
    message_id: str
    thread: str
    context: ReplyContext
    #: The same for each copy of this mail, and for no other.
    key: str


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """Mail that nobody answers, and why."""

    ground: Ground
    reason: str
    sender: str


def look_at(data: bytes, rules: Rules) -> Heading | TurnedAway:
    """Judge a mail by its headers. Raises `Unreadable`.

    A From that is not believed leads nowhere, not even to a note about it: whoever is named in it
    has not written to us. Hence there is no sender id that such a mail could have."""
    block, _ = split_headers(data)
    headers = read_headers(block)
    sender = writer(headers)
    shown = sender.id if sender is not None else headers.words("from", 100)
    reason = answers_nobody(headers, sender, rules.own)
    if reason is not None:
        return TurnedAway(Ground.AUTOMATIC, reason, shown)
    if sender is None:
        return TurnedAway(Ground.FORGED, "its From does not name one address", shown)
    reason = forged(headers, sender, rules.authserv_id)
    if reason is not None:
        return TurnedAway(Ground.FORGED, reason, shown)
    straight = came_straight(headers, sender, rules.authserv_id)
    reason = not_to_us(headers, rules.own, straight=straight)
    if reason is not None:
        return TurnedAway(Ground.ELSEWHERE, reason, shown)
    program = written_by_a_program(headers, sender)
    if program is not None and sender.id not in rules.listed:
        return TurnedAway(Ground.AUTOMATIC, program, shown)
    return Heading(
        sender=sender,
        machine=program is not None,
        subject=headers.words("subject", 300),
        message_id=message_id(headers),
        thread=thread(headers, rules.domain),
        context=reply_context(headers),
        key=_key(headers, sender, block),
    )


def _key(headers: Headers, sender: Person, block: bytes) -> str:
    """A Message-ID is chosen by whoever writes, so it counts for him alone: nobody makes another's
    mail look like one that has been here."""
    own = message_id(headers)
    name = "\n".join((sender.id, own, headers.first("date"))).encode() if own else block
    return f"mail-{sha256(name).hexdigest()}"
