"""Every effect of the queue on the database: accept, claim, advance, settle.

A turn's effects are fenced and numbered. `Turn` carries owner, attempt and the number of its last
write; the database takes write n only after write n - 1 and only from the current owner and
attempt. So a daemon that was paused, cut off or replaced can write nothing, and a write whose
answer got lost is repeated safely.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID, uuid4, uuid5

import msgspec

from opencraw.contract import Address, Delivery, Envelope, Line, Receipt
from opencraw.errors import Fenced, Unavailable
from opencraw.model import AssistantMessage, Thinking, ToolCall, Usage
from opencraw.queue.modes import Start
from opencraw.settings import Mode
from opencraw.store.database import Database, Record
from opencraw.store.queries import load
from opencraw.store.text import storable

SQL = load("opencraw.queue", "queue.sql")
AGENT = "main"
_SESSIONS = UUID("6f70656e-6372-6177-8000-73657373696f")


def session_key(address: Address, tenant: str, agent: str = AGENT) -> str:
    """The durable name of the conversation at `address`, readable and unambiguous."""
    parts = (tenant, agent, address.channel, address.account, address.chat, address.thread)
    return "/".join(part.replace("%", "%25").replace("/", "%2F") for part in parts)


def session_id(address: Address, tenant: str) -> UUID:
    """The id that belongs to the key: anybody can compute it, nobody needs to look it up."""
    return uuid5(_SESSIONS, session_key(address, tenant))


@dataclass(frozen=True, slots=True)
class Message:
    """An accepted message that waits in its lane."""

    id: int
    message_id: UUID
    text: str
    rights: str
    correlation_id: UUID
    origin: str
    trigger_type: str
    age: float


@dataclass(frozen=True, slots=True)
class Lane:
    """One session's waiting messages, oldest first, and what its people chose."""

    session_id: UUID
    address: Address
    mode: Mode | None
    debounce_ms: int | None
    model: str | None
    messages: tuple[Message, ...]


@dataclass(slots=True)
class Turn:
    """A turn in our hands."""

    id: UUID
    session_id: UUID
    address: Address
    owner: UUID
    model: str
    correlation_id: UUID
    rights: str
    attempt: int = 1
    writes: int = 0
    stop_requested: bool = False
    #: The write under way. A turn's writes go one after the other even when their caller is
    #: cancelled: whoever writes next waits for this one first.
    pending: asyncio.Future[Record | None] | None = field(default=None, repr=False)


class TranscriptLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line that a turn adds to the transcript."""

    kind: Literal["assistant", "tool_started", "tool_result", "notice"]
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    thinking: tuple[Thinking, ...] = ()
    call_id: str | None = None
    tool_name: str | None = None
    failed: bool = False
    interrupted: bool = False

    @classmethod
    def of(cls, message: AssistantMessage, *, interrupted: bool = False) -> TranscriptLine:
        return cls(
            "assistant",
            text=message.text,
            tool_calls=message.tool_calls,
            thinking=message.thinking,
            interrupted=interrupted,
        )


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a turn ends. `reply` is what people are told; empty tells them nothing."""

    state: Literal["done", "interrupted", "failed"]
    lines: tuple[TranscriptLine, ...] = ()
    reply: str = ""
    reply_kind: Literal["reply", "notice"] = "reply"
    tools: tuple[str, ...] = ()
    usage: Usage = Usage()
    failure: str | None = None


_OUTCOMES = {"done": "answered", "interrupted": "interrupted", "failed": "failed"}
_encoder = msgspec.json.Encoder()


def _encoded(lines: Sequence[TranscriptLine]) -> str:
    return _encoder.encode([_storable(line) for line in lines]).decode()


def _storable(line: TranscriptLine) -> TranscriptLine:
    """`line` with all that a model or a tool wrote as Postgres takes it."""
    return TranscriptLine(
        line.kind,
        text=storable(line.text),
        tool_calls=tuple(
            ToolCall(storable(call.id), storable(call.name), storable(call.arguments))
            for call in line.tool_calls
        ),
        thinking=tuple(
            msgspec.structs.replace(
                each, text=storable(each.text), signature=storable(each.signature)
            )
            for each in line.thinking
        ),
        call_id=line.call_id and storable(line.call_id),
        tool_name=line.tool_name and storable(line.tool_name),
        failed=line.failed,
        interrupted=line.interrupted,
    )


class Turns:
    """The queue's verbs on one database, spoken for one node."""

    def __init__(self, database: Database, node: UUID) -> None:
        self._database = database
        self.node = node

    async def accept(self, envelope: Envelope, *, patience: float) -> Receipt:
        """Return once the message is committed. Raises `Unavailable` after `patience` seconds."""
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
            envelope.sender.id,
            storable(envelope.sender.name),
            envelope.sender.rights.value,
            storable(envelope.text),
            envelope.dedupe_key,
            envelope.correlation_id,
            envelope.origin.value,
            envelope.trigger_type.value,
        )
        for _ in range(3):
            record = await self._database.commit(SQL.accept, row, patience=patience)
            if record is not None and record["message_id"] is not None:
                known: UUID = record["message_id"]
                return Receipt(message_id=known, duplicate=known != message_id)
        raise Unavailable("the same message is being accepted elsewhere; offer it again")

    async def known(self, envelope: Envelope, *, patience: float) -> UUID | None:
        """Under which id this message was accepted before, if it was."""
        address = envelope.address
        records = await self._database.fetch(
            SQL.known, address.channel, address.account, envelope.dedupe_key, patience=patience
        )
        return records[0]["message_id"] if records else None

    async def withdraw(self, session: UUID, message_id: UUID) -> bool:
        """Take a waiting message back; False when it does not wait any more."""
        return await self._database.commit(SQL.withdraw, (session, message_id)) is not None

    async def lanes_with_work(self) -> Mapping[UUID, int]:
        """Sessions with waiting messages, and how many."""
        records = await self._database.fetch(SQL.lanes_with_work)
        return {record["session_id"]: record["waiting"] for record in records}

    async def waiting(self, sessions: Sequence[UUID]) -> Sequence[Lane]:
        """The lanes of `sessions` in which somebody waits."""
        records = await self._database.fetch(SQL.waiting, list(sessions))
        grouped: dict[UUID, list[Record]] = {}
        for record in records:
            grouped.setdefault(record["session_id"], []).append(record)
        return [
            Lane(
                session_id=session,
                address=_address(rows[0]),
                mode=rows[0]["mode"],
                debounce_ms=rows[0]["debounce_ms"],
                model=rows[0]["model"],
                messages=tuple(map(_message, rows)),
            )
            for session, rows in grouped.items()
        ]

    async def start(self, turn: Turn, lane: Lane, start: Start) -> bool:
        """Begin `turn`; False when somebody else was faster."""
        newest = next(message for message in lane.messages if message.id == start.takes[-1])
        row = (
            turn.id,
            lane.session_id,
            self.node,
            ",".join(map(str, start.takes)),
            ",".join(map(str, start.supersedes)),
            turn.correlation_id,
            newest.origin,
            newest.trigger_type,
            turn.rights,
            turn.model,
            start.collected,
            start.debounced,
            start.dropped,
        )
        return await self._database.commit(SQL.start_turn, row) is not None

    async def abandoned(self, active: Sequence[UUID], limit: int) -> Sequence[Turn]:
        """Running turns in nobody's hands. `active` are those in ours."""
        records = await self._database.fetch(SQL.abandoned, self.node, list(active), limit)
        return [
            Turn(
                id=record["id"],
                session_id=record["session_id"],
                address=_address(record),
                owner=record["owner"],
                model=record["model"],
                correlation_id=record["correlation_id"],
                rights=record["rights"],
                attempt=record["attempt"],
                writes=record["writes"],
                stop_requested=record["stop_requested"],
            )
            for record in records
        ]

    async def to_be_stopped(self, active: Sequence[UUID]) -> Sequence[UUID]:
        """The sessions of those `active` turns whose end a person asked for, here or elsewhere."""
        records = await self._database.fetch(SQL.to_be_stopped, list(active))
        return [record["session_id"] for record in records]

    async def take_over(self, turn: Turn) -> bool:
        """Make an abandoned turn ours as its next attempt; False when somebody else did."""
        row = (turn.id, turn.owner, turn.attempt, self.node)
        if await self._database.commit(SQL.take_over, row) is None:
            return False
        turn.owner = self.node
        turn.attempt += 1
        return True

    async def advance(
        self,
        turn: Turn,
        lines: Sequence[TranscriptLine],
        usage: Usage = Usage(),
        hears: Sequence[int] = (),
    ) -> Sequence[int]:
        """Write one step; returns those of `hears` that were still waiting. Raises `Fenced`."""
        usage = usage.bounded()
        record = await self._write(
            turn,
            SQL.advance,
            (
                _encoded(lines),
                ",".join(map(str, hears)),
                usage.prompt_tokens,
                usage.completion_tokens,
                usage.cached_tokens,
            ),
        )
        heard: list[int] = record["heard"]
        return heard

    async def settle(self, turn: Turn, settlement: Settlement) -> Delivery | None:
        """End the turn; returns what has to be delivered. Raises `Fenced`."""
        delivery_id = uuid5(turn.id, "reply")
        reply = storable(settlement.reply)
        usage = settlement.usage.bounded()
        tools = tuple(map(storable, settlement.tools))
        record = await self._write(
            turn,
            SQL.settle,
            (
                settlement.state,
                _encoded(settlement.lines),
                usage.prompt_tokens,
                usage.completion_tokens,
                usage.cached_tokens,
                settlement.failure and storable(settlement.failure),
                _OUTCOMES[settlement.state],
                delivery_id,
                settlement.reply_kind,
                reply,
                _encoder.encode(tools).decode(),
            ),
        )
        if not reply:
            return None
        line = Line(
            seq=record["seq"],
            kind=settlement.reply_kind,
            text=reply,
            at=record["created_at"],
            message_id=delivery_id,
            turn_id=turn.id,
            tools=tools,
            interrupted=settlement.state == "interrupted",
        )
        return Delivery(delivery_id=delivery_id, address=turn.address, line=line)

    async def _write(self, turn: Turn, sql: str, row: tuple[object, ...]) -> Record:
        # Between what a caller notes about a write and the write itself nobody may be cancelled, so
        # there is no pause here unless an earlier caller was.
        if turn.pending is not None and not turn.pending.done():
            await asyncio.wait([turn.pending])
        turn.pending = asyncio.ensure_future(self._numbered_write(turn, sql, row))
        record = await asyncio.shield(turn.pending)
        if record is None:
            raise Fenced(f"turn {turn.id} is not ours any more (attempt {turn.attempt})")
        return record

    async def _numbered_write(self, turn: Turn, sql: str, row: tuple[object, ...]) -> Record | None:
        fence = (turn.id, turn.owner, turn.attempt, turn.writes + 1)
        record = await self._database.commit(sql, fence + row)
        turn.writes += 1
        return record


def _address(record: Record) -> Address:
    return Address(record["channel"], record["account"], record["chat"], record["thread"])


def _message(record: Record) -> Message:
    return Message(
        id=record["id"],
        message_id=record["message_id"],
        text=record["text"],
        rights=record["rights"],
        correlation_id=record["correlation_id"],
        origin=record["origin"],
        trigger_type=record["trigger_type"],
        age=record["age"],
    )
