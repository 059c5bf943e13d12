"""Every effect of a turn on the database: start, take over, advance, move marks, settle.

A turn's effects are fenced and numbered. `Turn` carries owner, attempt and the number of its last
write; the database takes write n only after write n - 1 and only from the current owner and
attempt. So a daemon that was paused, cut off or replaced can write nothing, and a write whose
answer got lost is repeated safely.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID, uuid5

import msgspec
from msgspec.structs import astuple

from opencraw.contract import DEFAULT_TENANT, Address, Delivery, Line, Origin
from opencraw.errors import Fenced
from opencraw.model import AssistantMessage, Thinking, ToolCall, Usage
from opencraw.queue.failures import Failure
from opencraw.queue.inbox import Message, address_of
from opencraw.queue.modes import Start
from opencraw.queue.pools import Pool
from opencraw.sessions.asker import Asker
from opencraw.sessions.keys import reply_id
from opencraw.sessions.voice import Voice
from opencraw.store.database import Database, Record
from opencraw.store.queries import load
from opencraw.store.text import storable

SQL = load("opencraw.queue", "turns.sql")


@dataclass(slots=True)
class Turn:
    """A turn in our hands."""

    id: UUID
    session_id: UUID
    #: Where it was asked, and is answered.
    address: Address
    owner: UUID
    model: str
    correlation_id: UUID
    rights: str
    tenant: str = DEFAULT_TENANT
    #: The id of who asked; empty is not known.
    asked_by: str = ""
    origin: str = Origin.CHANNEL
    #: Who listens where it was asked; None is not known.
    chat_type: str | None = None
    attempt: int = 1
    writes: int = 0
    stop_requested: bool = False
    pool: Pool = Pool.INTERACTIVE
    #: How often a process died, or gave up, while it worked on this turn.
    deaths: int = 0
    #: The attempt before this one ended like that.
    died: bool = False
    #: The write under way. A turn's writes go one after the other even when their caller is
    #: cancelled: whoever writes next waits for this one first.
    pending: asyncio.Future[Record | None] | None = field(default=None, repr=False)

    @property
    def voice(self) -> Voice:
        """What it may hear."""
        return Voice(self.rights, self.address)

    @property
    def asker(self) -> Asker:
        """For whom it works."""
        return Asker(
            self.tenant,
            self.session_id,
            self.id,
            self.address,
            self.asked_by,
            self.rights,
            self.origin,
            self.chat_type,
        )


class TranscriptLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line that a turn adds to the transcript."""

    kind: Literal["assistant", "tool_started", "tool_result", "notice", "recalled"]
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    thinking: tuple[Thinking, ...] = ()
    call_id: str | None = None
    tool_name: str | None = None
    failed: bool = False
    interrupted: bool = False
    #: Of recalled memories: which.
    items: tuple[UUID, ...] = ()

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
class Marks:
    """Where the marks of a conversation move to. They never move back; 0 leaves one alone."""

    pruned_seq: int = 0
    begin_seq: int = 0
    #: Sums up what lies up to `begin_seq`; empty when that is left out.
    checkpoint: str = ""
    #: The order of a person that this carries out.
    wanted: str | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """What a turn reads, and people are told, of `count` messages that gave up their places."""

    text: str
    count: int
    newest: Message


@dataclass(frozen=True, slots=True)
class Started:
    """A turn has begun. `told` is what people have to be told of those who gave up their places."""

    told: Delivery | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a turn ends. `reply` is what people are told; empty tells them nothing."""

    state: Literal["done", "interrupted", "failed"]
    lines: tuple[TranscriptLine, ...] = ()
    reply: str = ""
    reply_kind: Literal["reply", "notice"] = "reply"
    tools: tuple[str, ...] = ()
    usage: Usage = Usage()
    failure: Failure | None = None


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
        items=line.items,
    )


class Turns:
    """The verbs of turns, spoken for one node."""

    def __init__(self, database: Database, node: UUID) -> None:
        self._database = database
        self.node = node

    async def start(
        self, turn: Turn, asked: Message, start: Start, summary: Summary | None = None
    ) -> Started | None:
        """Begin `turn`, which answers `asked`; None when somebody else was faster. `summary` stands
        for the messages of the lane that gave up their places."""
        summary_id = uuid5(turn.id, "summary")
        row = (
            turn.id,
            turn.session_id,
            self.node,
            ",".join(map(str, start.takes)),
            ",".join(map(str, start.supersedes)),
            turn.correlation_id,
            asked.origin,
            asked.trigger_type,
            turn.rights,
            turn.model,
            start.collected,
            start.debounced,
            start.dropped + (summary.count if summary else 0),
            turn.pool.value,
            storable(summary.text) if summary else "",
            summary.count if summary else 0,
            summary.newest.id if summary else 0,
            summary_id,
            turn.asked_by,
            *astuple(turn.address),
        )
        record = await self._database.commit(SQL.start_turn, row)
        if record is None:
            return None
        if summary is None:
            return Started()
        line = Line(
            record["seq"], "notice", storable(summary.text), record["created_at"], summary_id,
            turn_id=turn.id,
        )  # fmt: skip
        return Started(told=Delivery(summary_id, turn.address, line))

    async def abandoned(self, active: Sequence[UUID], limit: int) -> Sequence[Turn]:
        """Running turns in nobody's hands. `active` are those in ours."""
        records = await self._database.fetch(SQL.abandoned, self.node, list(active), limit)
        return [
            Turn(
                id=record["id"],
                session_id=record["session_id"],
                address=address_of(record),
                owner=record["owner"],
                model=record["model"],
                correlation_id=record["correlation_id"],
                rights=record["rights"],
                tenant=record["tenant"],
                asked_by=record["asked_by"],
                origin=record["origin"],
                chat_type=record["chat_type"],
                attempt=record["attempt"],
                writes=record["writes"],
                stop_requested=record["stop_requested"],
                pool=Pool(record["pool"]),
                deaths=record["deaths"],
                died=record["died"],
            )
            for record in records
        ]

    async def to_be_stopped(self, active: Sequence[UUID]) -> frozenset[UUID]:
        """Those of the `active` turns whose end a person asked for, here or elsewhere."""
        records = await self._database.fetch(SQL.to_be_stopped, list(active))
        return frozenset(record["id"] for record in records)

    async def open_calls(self, turn: Turn) -> Sequence[ToolCall]:
        """The calls of a turn that have no result, without what they were given: that may be very
        much."""
        records = await self._database.fetch(SQL.open_calls, turn.id)
        return [ToolCall(record["id"], record["name"], "{}") for record in records]

    async def take_over(self, turn: Turn) -> bool:
        """Make an abandoned turn ours as its next attempt; False when somebody else did."""
        row = (turn.id, turn.owner, turn.attempt, self.node, int(turn.died))
        record = await self._database.commit(SQL.take_over, row)
        if record is None:
            return False
        turn.owner = self.node
        turn.attempt += 1
        turn.writes = record["writes"]
        turn.deaths += turn.died
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

    async def move(self, turn: Turn, marks: Marks, usage: Usage = Usage()) -> None:
        """Change what prompts show of the conversation. `usage` is what that took. Raises
        `Fenced`."""
        usage = usage.bounded()
        await self._write(
            turn,
            SQL.move_marks,
            (
                marks.pruned_seq,
                marks.begin_seq,
                storable(marks.checkpoint),
                None if marks.wanted is None else storable(marks.wanted),
                usage.prompt_tokens,
                usage.completion_tokens,
                usage.cached_tokens,
            ),
        )

    async def settle(self, turn: Turn, settlement: Settlement) -> Delivery | None:
        """End the turn; returns what has to be delivered. Raises `Fenced`."""
        delivery_id = reply_id(turn.id)
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
                settlement.failure and storable(settlement.failure.text),
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
        return Delivery(delivery_id, turn.address, line, ends=turn.id)

    async def _write(self, turn: Turn, sql: str, row: tuple[object, ...]) -> Record:
        # Between what a caller notes about a write and the write itself nobody may be cancelled, so
        # there is no pause here unless an earlier caller was.
        while turn.pending is not None and not turn.pending.done():
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
