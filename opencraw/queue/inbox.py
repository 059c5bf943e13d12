"""Messages between acceptance and the turn that takes them up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from opencraw.contract import Address, Envelope, Line, Receipt
from opencraw.errors import Unavailable
from opencraw.queue.modes import Arrival, Overflow
from opencraw.queue.pools import Pool
from opencraw.sessions.choice import QueueChoice
from opencraw.sessions.keys import AGENT, session_id, session_key
from opencraw.store.database import Database, Record
from opencraw.store.queries import load
from opencraw.store.text import storable

SQL = load("opencraw.queue", "inbox.sql")


@dataclass(frozen=True, slots=True)
class Message:
    """An accepted message that waits in its lane."""

    id: int
    message_id: UUID
    text: str
    sender_id: str
    rights: str
    correlation_id: UUID
    origin: str
    trigger_type: str
    age: float

    @property
    def arrival(self) -> Arrival:
        """What deciding about it takes."""
        return Arrival(self.id, self.rights, self.age, self.sender_id, len(self.text))


@dataclass(frozen=True, slots=True)
class Lane:
    """One session's waiting messages, oldest first, and what its people chose.

    `overflowed` counts those that gave up their places and have not been summarised yet.
    """

    session_id: UUID
    address: Address
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

    async def accept(self, envelope: Envelope, *, muted: bool = False, patience: float) -> Receipt:
        """Return once the message is committed. Raises `Unavailable` after `patience` seconds.

        A `muted` one is kept and never answered, and so is every one to a silent session.
        """
        address = envelope.address
        message_id = uuid4()
        row = (
            message_id,
            session_id(address, envelope.tenant),
            session_key(address, envelope.tenant),
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
        )
        for _ in range(3):
            record = await self._database.commit(SQL.accept, row, patience=patience)
            if record is not None and record["message_id"] is not None:
                known: UUID = record["message_id"]
                return Receipt(known, duplicate=known != message_id, muted=record["muted"])
        raise Unavailable("the same message is being accepted elsewhere; offer it again")

    async def known(self, envelope: Envelope, *, patience: float) -> UUID | None:
        """Under which id this message was accepted before, if it was."""
        address = envelope.address
        records = await self._database.fetch(
            SQL.known, address.channel, address.account, envelope.dedupe_key, patience=patience
        )
        return records[0]["message_id"] if records else None

    async def is_waiting(self, message_id: UUID) -> bool:
        """Whether this message waits."""
        return bool(await self._database.fetch(SQL.is_waiting, message_id))

    async def withdraw(self, session: UUID, message_id: UUID) -> bool:
        """Take a waiting message back; False when it does not wait any more."""
        return await self._database.commit(SQL.withdraw, (session, message_id)) is not None

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
        records = await self._database.fetch(SQL.waiting, list(sessions))
        grouped: dict[UUID, list[Record]] = {}
        for record in records:
            grouped.setdefault(record["session_id"], []).append(record)
        return [
            Lane(
                session_id=session,
                address=address_of(rows[0]),
                choice=QueueChoice.of(rows[0]),
                model=rows[0]["model"],
                overflowed=rows[0]["overflowed"],
                messages=tuple(_message(row) for row in rows if row["id"] is not None),
            )
            for session, rows in grouped.items()
        ]

    async def overflowed(
        self, session: UUID, rights: str | None, limit: int
    ) -> tuple[int, Sequence[Message]]:
        """How many messages of senders with these rights (None: those of the newest) gave up their
        places, and the newest `limit` of them, oldest first."""
        records = await self._database.fetch(SQL.overflowed, session, rights, limit)
        count = records[0]["count"] if records else 0
        return count, [_message(record) for record in reversed(records)]

    async def give_up_places(
        self, session: UUID, overflow: Overflow, notice: str
    ) -> tuple[int, Line | None]:
        """Have messages of a full lane give up their places; people are told with `notice`, unless
        it is empty. Returns how many did, and the notice to deliver."""
        delivery_id = uuid4()
        ids = ",".join(map(str, overflow.ids))
        row = (session, ids, overflow.summarized, delivery_id, notice)
        record = await self._database.commit(SQL.give_up_places, row)
        if record is None:
            return 0, None
        if not notice or record["seq"] is None:
            return record["moved"], None
        line = Line(record["seq"], "notice", notice, record["created_at"], delivery_id)
        return record["moved"], line


def address_of(record: Record) -> Address:
    """Where the session of this row is."""
    return Address(record["channel"], record["account"], record["chat"], record["thread"])


def _message(record: Record) -> Message:
    return Message(
        id=record["id"],
        message_id=record["message_id"],
        text=record["text"],
        sender_id=record["sender_id"],
        rights=record["rights"],
        correlation_id=record["correlation_id"],
        origin=record["origin"],
        trigger_type=record["trigger_type"],
        age=record["age"],
    )
