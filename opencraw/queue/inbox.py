"""Messages between acceptance and the turn that takes them up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID, uuid4

from msgspec.structs import astuple

from opencraw.contract import Address, Delivery, Envelope, Line, Receipt
from opencraw.errors import Refused, Unavailable
from opencraw.queue.modes import Arrival, Overflow
from opencraw.queue.pools import Pool
from opencraw.sessions.choice import QueueChoice
from opencraw.sessions.files import File, claims, files_of
from opencraw.sessions.keys import AGENT, Conversation
from opencraw.sessions.voice import Voice
from opencraw.store.database import Database, Record
from opencraw.store.queries import load
from opencraw.store.text import storable

SQL = load("opencraw.queue", "inbox.sql")

#: So many characters tell people and models which message is meant.
BEGINNING = 160


#: From where a message was taken back: from its place, or from among those that gave up theirs.
Withdrawn = Literal["waiting", "overflowed"]


@dataclass(frozen=True, slots=True)
class Message:
    """An accepted message that waits in its lane."""

    id: int
    message_id: UUID
    beginning: str
    #: Of the whole text, in characters.
    size: int
    address: Address
    sender_id: str
    rights: str
    correlation_id: UUID
    origin: str
    trigger_type: str
    age: float

    @property
    def voice(self) -> Voice:
        """With what it may share a turn."""
        return Voice(self.rights, self.address)

    @property
    def arrival(self) -> Arrival:
        """What deciding about it takes."""
        return Arrival(self.id, self.voice, self.age, self.sender_id, self.size)


@dataclass(frozen=True, slots=True)
class Said:
    """A message's whole text and whose it is, under a name of his own choice."""

    text: str
    speaker: str
    rights: str
    files: tuple[File, ...] = ()


@dataclass(frozen=True, slots=True)
class Lane:
    """One session's waiting messages, oldest first, and what its people chose.

    `overflowed` counts those that gave up their places and have not been summarised yet.
    """

    session_id: UUID
    #: Whose rules it follows: that of the oldest message.
    channel: str
    tenant: str
    #: Who listens there; None is not known.
    chat_type: str | None
    choice: QueueChoice
    model: str | None
    overflowed: int
    messages: tuple[Message, ...]

    @property
    def arrivals(self) -> tuple[Arrival, ...]:
        return tuple(message.arrival for message in self.messages)


@dataclass(frozen=True, slots=True)
class Backlog:
    """What the database knows of a lane with work. `overflowed` ones gave up their places."""

    waiting: int
    overflowed: int
    channel: str
    pool: Pool
    choice: QueueChoice = QueueChoice()


class Inbox:
    """The verbs of messages that no turn has yet."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def accept(
        self,
        envelope: Envelope,
        here: Conversation,
        *,
        muted: bool = False,
        patience: float,
    ) -> Receipt:
        """Return once the message is committed. Raises `Unavailable` after `patience` seconds, and
        `Refused` where a conversation is being brought in from elsewhere.

        A `muted` one is kept and never answered, and so is every one to a silent session.
        """
        address = envelope.address
        message_id = uuid4()
        row = (
            message_id,
            here.id,
            here.key,
            envelope.tenant,
            AGENT,
            address.channel,
            address.account,
            address.chat,
            address.thread,
            envelope.chat_type.value,
            envelope.sender.id,
            storable(envelope.sender.name),
            envelope.sender.rights.value,
            storable(envelope.text),
            envelope.dedupe_key,
            envelope.correlation_id,
            envelope.origin.value,
            envelope.trigger_type.value,
            muted,
            storable(envelope.platform_id),
            storable(envelope.reply_context),
            claims(envelope.attachments),
        )
        for _ in range(3):
            record = await self._database.commit(SQL.accept, row, patience=patience)
            if record is not None and record["message_id"] is not None:
                known: UUID = record["message_id"]
                return Receipt(known, duplicate=known != message_id, muted=record["muted"])
            if record is not None and record["half"]:
                raise Refused(
                    "This conversation is being copied from elsewhere, and only a part of it is "
                    "here. The message was not taken. Send it again in a minute; if that does not "
                    "help, the operator has to repeat the import, or delete the conversation.",
                    code="CONFLICT_ERROR",
                )
        raise Unavailable("the same message is being accepted elsewhere; offer it again")

    async def known(self, envelope: Envelope, *, patience: float) -> Receipt | None:
        """The receipt of this message if it was accepted before."""
        address = envelope.address
        records = await self._database.fetch(
            SQL.known, address.channel, address.account, envelope.dedupe_key, patience=patience
        )
        if not records:
            return None
        return Receipt(records[0]["message_id"], duplicate=True, muted=records[0]["muted"])

    async def is_waiting(self, message_id: UUID) -> bool:
        """Whether this message waits."""
        return bool(await self._database.fetch(SQL.is_waiting, message_id))

    async def withdraw(self, session: UUID, message_id: UUID) -> Withdrawn | None:
        """Take a message back; returns from where, None when there is nothing to take back."""
        record = await self._database.commit(SQL.withdraw, (session, message_id))
        if record is None:
            return None
        return "waiting" if record["was_waiting"] else "overflowed"

    async def amend(self, envelope: Envelope) -> bool:
        """Have a message that waits say what this edit of it says; False when none waits."""
        where = envelope.address
        names = (where.channel, where.account, where.chat, envelope.platform_id, envelope.sender.id)
        row = (*map(storable, names), storable(envelope.text))
        return await self._database.commit(SQL.amend, row) is not None

    async def retract(
        self, address: Address, platform_id: str, sender: str
    ) -> tuple[UUID, Withdrawn] | None:
        """Take back a message that its platform calls so; of whoever, if `sender` is empty. Returns
        its session and from where, None when there is nothing to take back."""
        names = (address.channel, address.account, address.chat, platform_id, sender)
        record = await self._database.commit(SQL.retract, tuple(map(storable, names)))
        if record is None:
            return None
        return record["session_id"], "waiting" if record["was_waiting"] else "overflowed"

    async def lanes_with_work(self) -> Mapping[UUID, Backlog]:
        """Sessions in which somebody is to be answered, and how many are."""
        records = await self._database.fetch(SQL.lanes_with_work)
        return {
            record["session_id"]: Backlog(
                record["waiting"],
                record["overflowed"],
                record["channel"],
                Pool.of(*record["origins"]),
                QueueChoice.of(record),
            )
            for record in records
        }

    async def waiting(self, sessions: Sequence[UUID]) -> Sequence[Lane]:
        """The lanes of `sessions` in which somebody waits."""
        records = await self._database.fetch(SQL.waiting, list(sessions), BEGINNING)
        grouped: dict[UUID, list[Record]] = {}
        for record in records:
            grouped.setdefault(record["session_id"], []).append(record)
        return [
            Lane(
                session_id=session,
                channel=rows[0]["channel"] or rows[0]["lane_channel"],
                tenant=rows[0]["tenant"],
                chat_type=rows[0]["chat_type"],
                choice=QueueChoice.of(rows[0]),
                model=rows[0]["model"],
                overflowed=rows[0]["overflowed"],
                messages=tuple(_message(row) for row in rows if row["id"] is not None),
            )
            for session, rows in grouped.items()
        ]

    async def texts(self, ids: Sequence[int], *, longest: int) -> Sequence[Said]:
        """What these messages say, whole, in the order of their acceptance. Of what a document says
        `longest` characters are read."""
        records = await self._database.fetch(SQL.texts, list(ids), longest)
        return [Said(**{**record, "files": files_of(record["files"])}) for record in records]

    async def overflowed(
        self, session: UUID, voice: Voice | None, limit: int
    ) -> tuple[int, Sequence[Message]]:
        """How many messages of this voice (None: that of the newest) gave up their places, and the
        newest `limit` of them, oldest first."""
        spoken = (None,) * 5 if voice is None else (voice.rights, *astuple(voice.address))
        records = await self._database.fetch(SQL.overflowed, session, limit, BEGINNING, *spoken)
        count = records[0]["count"] if records else 0
        return count, [_message(record) for record in reversed(records)]

    async def give_up_places(
        self, session: UUID, overflow: Overflow, address: Address, notice: str
    ) -> tuple[int, Delivery | None]:
        """Have messages of a full lane, all from `address`, give up their places; people there are
        told with `notice`, unless they have been. Returns how many did, and what to deliver."""
        delivery_id = uuid4()
        ids = ",".join(map(str, overflow.ids))
        row = (session, ids, overflow.summarized, delivery_id, notice, *astuple(address))
        record = await self._database.commit(SQL.give_up_places, row)
        if record is None:
            return 0, None
        if record["seq"] is None:
            return record["moved"], None
        line = Line(record["seq"], "notice", notice, record["created_at"], delivery_id)
        return record["moved"], Delivery(delivery_id, address, line)


def address_of(record: Record) -> Address:
    """Where what this row tells of was said."""
    return Address(record["channel"], record["account"], record["chat"], record["thread"])


def _message(record: Record) -> Message:
    return Message(
        id=record["id"],
        message_id=record["message_id"],
        beginning=record["beginning"],
        size=record["size"],
        address=address_of(record),
        sender_id=record["sender_id"],
        rights=record["rights"],
        correlation_id=record["correlation_id"],
        origin=record["origin"],
        trigger_type=record["trigger_type"],
        age=record["age"],
    )
