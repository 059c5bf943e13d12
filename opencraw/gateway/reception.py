"""What channels are given: the way in, and all that is remembered for a channel of its platform."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from opencraw.access.policy import Who
from opencraw.attachments.attachments import Attachments
from opencraw.contract import (
    DEFAULT_TENANT,
    Address,
    Attachment,
    CommandHelp,
    Envelope,
    Pick,
    Reaction,
    Reader,
    Receipt,
    TurnShown,
)
from opencraw.errors import Refused, SlowDown
from opencraw.gateway.commands import listed
from opencraw.gateway.door import Door
from opencraw.gateway.entrance import Entrance
from opencraw.gateway.notices import Notices
from opencraw.gateway.second_thoughts import SecondThoughts
from opencraw.limits.rates import Rates
from opencraw.platforms.cursors import Cursors
from opencraw.platforms.quarantine import Quarantine
from opencraw.platforms.reactions import Reactions
from opencraw.platforms.traffic import Traffics
from opencraw.queue.shown import ShownTurns
from opencraw.store.database import Database

log = logging.getLogger(__name__)

#: So often in a minute somebody at one address is told that a message was not taken.
TOLD_PER_MINUTE = 5
#: Characters of an id in what is told to an operator.
LONGEST_SHOWN = 100


@dataclass(frozen=True)
class Records:
    """What is remembered for channels of their platforms."""

    cursors: Cursors
    quarantine: Quarantine
    reactions: Reactions
    drafts: ShownTurns
    attachments: Attachments
    traffics: Traffics

    @classmethod
    def of(cls, database: Database, attachments: Attachments, traffics: Traffics) -> Records:
        """Those in this database, with what is not only there."""
        return cls(
            Cursors(database),
            Quarantine(database),
            Reactions(database),
            ShownTurns(database),
            attachments,
            traffics,
        )


class Reception:
    """See `opencraw.contract.Gateway`."""

    def __init__(
        self,
        door: Door,
        entrance: Entrance,
        notices: Notices,
        second_thoughts: SecondThoughts,
        records: Records,
        *,
        reader: Reader,
    ) -> None:
        self._door = door
        self._entrance = entrance
        self._notices = notices
        self._second_thoughts = second_thoughts
        self._records = records
        self.reader = reader
        self._told = Rates(TOLD_PER_MINUTE)

    async def accept(self, envelope: Envelope) -> Receipt:
        """Return once the message is durable; see `Door.accept`."""
        traffic = self._records.traffics.of(envelope.address.channel)
        try:
            receipt = await self._door.accept(envelope)
        except Refused as refusal:
            traffic.refused(refusal.code, _whose(envelope))
            raise
        traffic.accepted(duplicate=receipt.duplicate)
        return receipt

    async def admits(self, envelope: Envelope) -> bool:
        """Whether `accept` would let its sender in."""
        return await self._entrance.admits(envelope)

    async def awaits(self, envelope: Envelope) -> bool:
        """Whether `accept` would store this message and has not done so."""
        return await self._door.awaits(envelope)

    async def tell(self, address: Address, text: str, *, reply_context: str = "") -> None:
        """Say something about a message that was refused; returns once it is durable. Whoever sends
        many such messages is told a few times a minute."""
        try:
            self._told.take(f"{address.channel}/{address.account}/{address.chat}", str(uuid4()))
        except SlowDown:
            log.warning("channel %s: somebody was told often enough", address.channel)
            return
        await self._notices.post(address, DEFAULT_TENANT, text, reply_context=reply_context)

    async def keep(
        self, channel: str, name: str, content_type: str, data: bytes, *, read: bool = True
    ) -> Attachment:
        """Store a file for an envelope that follows."""
        return await self._records.attachments.keep(channel, name, content_type, data, read=read)

    async def choose(self, pick: Pick) -> str:
        """Carry out what somebody chose; returns words for that person."""
        return await self._entrance.questions.choose(pick)

    async def react(self, reaction: Reaction) -> bool:
        """Note what somebody thinks of a message of ours."""
        about = await self._records.reactions.about(reaction)
        if about is None:
            return False
        if not await self._entrance.hears(Who.reacted(reaction, about.chat_type), about.tenant):
            return False
        await self._records.reactions.note(reaction, about)
        return True

    async def amend(self, envelope: Envelope) -> bool:
        """Have a message that waits say what it says now."""
        return await self.admits(envelope) and await self._second_thoughts.amend(envelope)

    async def retract(self, address: Address, platform_id: str, sender: str = "") -> bool:
        """Take back a message that waits, because it was deleted on the platform."""
        return await self._second_thoughts.retract(address, platform_id, sender)

    async def quarantine(self, channel: str, account: str, payload: str, problem: str) -> None:
        """Put aside an event that cannot be understood."""
        await self._records.quarantine.put_aside(channel, account, payload, problem)
        log.warning("channel %s: an event was put aside: %s", channel, problem)
        self._records.traffics.of(channel).quarantined(problem)

    async def cursor(self, channel: str, account: str, name: str = "") -> str | None:
        """How far the channel has come."""
        return await self._records.cursors.position(channel, account, name)

    async def move_cursor(self, channel: str, account: str, value: str, name: str = "") -> None:
        """Note how far the channel has come."""
        await self._records.cursors.move(channel, account, name, value)

    async def draft_shown(self, turn_id: UUID, platform_id: str | None) -> None:
        """Note the message that shows a running turn, or that one will."""
        await self._records.drafts.shown(turn_id, platform_id)

    async def draft_of(self, turn_id: UUID) -> TurnShown:
        """The message that shows a turn, and what that turn answers."""
        return await self._records.drafts.of(turn_id)

    @property
    def commands(self) -> Sequence[CommandHelp]:
        """The slash commands there are."""
        return listed()


def _whose(envelope: Envelope) -> str:
    """Who wrote and where, in the ids that the settings of a channel want. A stranger may have
    called himself anything."""
    address, sender = envelope.address, envelope.sender.id
    thread = f", thread {_shown(address.thread)}" if address.thread else ""
    return f"{envelope.chat_type} chat {_shown(address.chat)}{thread}, sender {_shown(sender)}"


def _shown(name: str) -> str:
    return "".join(each if each.isprintable() else " " for each in name[:LONGEST_SHOWN])
