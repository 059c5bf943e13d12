"""What a channel needs of the daemon, as a list of lines."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid4

from opencraw.contract import (
    DEFAULT_TENANT,
    Address,
    Delivery,
    Draft,
    Envelope,
    Line,
    Reader,
    Receipt,
    Waiting,
)
from opencraw.sessions.keys import session_id
from tests.fixtures.gateway import Unasked, unheard

__all__ = ["MAIN", "NOW", "MemoryGateway", "delivery", "unheard"]

MAIN = Address(channel="webchat", account="local", chat="main")
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


class MemoryGateway(Unasked):
    """Keeps the contract's promises about what was accepted, and does nothing by itself."""

    def __init__(self) -> None:
        self.model_name = "openai/gpt"
        self.lines: list[Line] = []
        self.accepted: list[Envelope] = []
        self.queue: list[Waiting] = []
        self.running: Draft | None = None
        #: In every chat, instead of one for each.
        self.goes_on: UUID | None = None
        self.failure: Exception | None = None
        #: The assistant may not speak.
        self.silent = False
        #: Nothing is accepted while this is cleared.
        self.open = asyncio.Event()
        self.open.set()
        #: Nothing else is answered while this is cleared.
        self.answering = asyncio.Event()
        self.answering.set()

    async def accept(self, envelope: Envelope) -> Receipt:
        self.accepted.append(envelope)
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        known = [e.dedupe_key for e in self.accepted]
        duplicate = known.count(envelope.dedupe_key) > 1
        return Receipt(uuid4(), duplicate, muted=self.silent)

    @property
    def reader(self) -> Reader:
        return self

    async def history(
        self, address: Address, *, before: int | None = None, after: int = 0, limit: int = 100
    ) -> Sequence[Line]:
        found = [
            line
            for line in self.lines
            if line.seq > after and (before is None or line.seq < before)
        ]
        # Somebody else always gets a turn, as with a database.
        await asyncio.sleep(0)
        await self.answering.wait()
        if self.failure is not None:
            raise self.failure
        return found[-limit:]

    async def waiting(self, address: Address) -> Sequence[Waiting]:
        return tuple(self.queue)

    async def withdraw(self, address: Address, message_id: UUID) -> bool:
        await self.answering.wait()
        before = len(self.queue)
        self.queue = [message for message in self.queue if message.message_id != message_id]
        return len(self.queue) < before

    def draft(self, address: Address) -> Draft | None:
        return self.running

    @property
    def model(self) -> str:
        return self.model_name

    def conversation(self, address: Address) -> UUID:
        return self.goes_on or session_id(address, DEFAULT_TENANT)

    def add(self, seq: int, kind: str = "said", text: str = "", turn: UUID | None = None) -> Line:
        line = Line(
            seq=seq,
            kind=kind,  # type: ignore[arg-type]
            text=text or f"{kind} {seq}",
            at=NOW,
            message_id=uuid4(),
            turn_id=turn or uuid4(),
        )
        self.lines.append(line)
        return line


def delivery(line: Line) -> Delivery:
    return Delivery(delivery_id=line.message_id, address=MAIN, line=line)
