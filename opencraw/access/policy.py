"""Who may talk where. Pure: settings, what is on record, and somebody who speaks, to a verdict.

Whatever is missing or unknown closes the door.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from enum import StrEnum

from opencraw.contract import (
    LONGEST_ADDRESS,
    Address,
    ChatType,
    Envelope,
    Pick,
    Reaction,
    Rights,
    Sender,
)
from opencraw.settings import AccessSettings
from opencraw.store.text import storable

#: In characters. No platform has longer ids.
LONGEST_ID = 256


class Code(StrEnum):
    """Why somebody is not let in, for logs and counts. Strangers are never told."""

    INVALID_IDENTITY = "invalid_identity"
    MACHINE = "machine_sender"
    LOOP = "bot_loop"
    GROUP_NOT_LISTED = "group_not_listed"
    NOT_ADDRESSED = "not_addressed"
    NOT_LISTED = "sender_not_listed"
    PENDING_CREATED = "pending_approval_created"
    PENDING_REQUIRED = "pending_approval_required"
    PENDING_CAP_REACHED = "pending_cap_reached"
    REJECTED = "request_rejected"


@dataclass(frozen=True, slots=True)
class Who:
    """Somebody who speaks, presses or puts an emoji somewhere, as the platform says."""

    address: Address
    sender: Sender
    chat_type: ChatType
    addressed: bool = True

    @classmethod
    def wrote(cls, envelope: Envelope) -> Who:
        """Whoever wrote a message."""
        return cls(envelope.address, envelope.sender, envelope.chat_type, envelope.addressed)

    @classmethod
    def pressed(cls, pick: Pick) -> Who:
        """Whoever pressed a button of ours. That is meant for us."""
        return cls(pick.address, pick.sender, pick.chat_type)

    @classmethod
    def reacted(cls, reaction: Reaction, chat_type: ChatType) -> Who:
        """Whoever put an emoji to a message of ours."""
        return cls(reaction.address, reaction.sender, chat_type)


@dataclass(frozen=True, slots=True)
class Admitted:
    """May talk, with these rights."""

    rights: Rights


@dataclass(frozen=True, slots=True)
class Stranger:
    """Nobody that we know; may ask to be let in."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """Is neither heard nor told so."""

    code: Code


Verdict = Admitted | Stranger | Ignored


def decide(access: AccessSettings, who: Who, paired: Rights | None) -> Verdict:
    """What becomes of `who`. `paired` are the rights that an owner approved for this person with
    this account; None is nothing."""
    if (code := kept_out(access, who)) is not None:
        return Ignored(code)
    listed = listed_rights(access, who.sender.id)
    if who.sender.machine:
        # A program cannot show a code to anybody, and nobody approves it by pressing a button.
        return Ignored(Code.MACHINE) if listed is None else Admitted(listed)
    if Rights.OWNER in (listed, paired):
        return Admitted(Rights.OWNER)
    if listed is not None or paired is not None or access.mode == "open":
        return Admitted(Rights.GUEST)
    if access.mode == "pairing" and who.chat_type is ChatType.DIRECT:
        return Stranger()
    return Ignored(Code.PENDING_REQUIRED if access.mode == "pairing" else Code.NOT_LISTED)


def kept_out(access: AccessSettings, who: Who) -> Code | None:
    """Why nobody would be heard who comes like this, whoever he is."""
    if not (is_identity(who.sender.id) and _is_place(who.address)):
        return Code.INVALID_IDENTITY
    match who.chat_type:
        case ChatType.DIRECT:
            return None
        case ChatType.GROUP | ChatType.CHANNEL:
            if who.address.chat not in access.groups:
                return Code.GROUP_NOT_LISTED
            return Code.NOT_ADDRESSED if access.require_mention and not who.addressed else None
        case _:
            return Code.INVALID_IDENTITY


def listed_rights(access: AccessSettings, sender: str) -> Rights | None:
    """What the configuration says of a person, by nothing but the whole id."""
    if sender in access.owners:
        return Rights.OWNER
    return Rights.GUEST if sender in access.allowed_senders else None


def is_identity(name: str) -> bool:
    """Whether a platform may call somebody so: not empty, not long, and nothing in it that people
    do not see."""
    return 0 < len(name) <= LONGEST_ID and name == name.strip() and not has_unseen(name)


def has_unseen(text: str) -> bool:
    """Whether there are characters in `text` that show nothing, or turn it around."""
    return any(unicodedata.category(each) in _UNSEEN for each in text)


#: Control, format, surrogate, private, unassigned; separators of lines and paragraphs.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def _is_place(address: Address) -> bool:
    parts = (address.channel, address.account, address.chat, address.thread)
    joined = "".join(parts)
    return (
        bool(address.channel and address.chat)
        and storable(joined) == joined
        and len(joined.encode()) <= LONGEST_ADDRESS
    )
