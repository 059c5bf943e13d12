"""Sends deliveries: in order within a conversation, side by side between conversations."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from opencraw import crashpoints
from opencraw.contract import Address, Channel, Delivery, Line
from opencraw.errors import DeliveryFailure, MaybeSent
from opencraw.outbox.attempts import Again, after_failure, may_repeat
from opencraw.store.database import Database, Record
from opencraw.store.queries import load

log = logging.getLogger(__name__)

SQL = load("opencraw.outbox", "outbox.sql")
POLL_SECONDS = 1.0
_BATCH = 500


@dataclass(slots=True)
class _Outgoing:
    delivery: Delivery
    attempts: int = 0
    #: The last attempt on record was cut off: it may have arrived.
    cut_off: bool = False


class Outbox:
    """Owns what is on its way out from this process."""

    def __init__(self, database: Database, node: UUID, channels: Mapping[str, Channel]) -> None:
        self._database = database
        self._node = node
        self._channels = channels
        self._held: set[UUID] = set()
        self._idle = asyncio.Event()
        self._queues: dict[Address, deque[_Outgoing]] = {}
        self._started: asyncio.Queue[Address] = asyncio.Queue()

    def post(self, delivery: Delivery) -> None:
        """Send what has just been committed. A hint: the poll finds what was never posted."""
        if delivery.address.channel in self._channels:
            self._hold(_Outgoing(delivery))

    async def drained(self) -> None:
        """Return when nothing is on its way."""
        while self._held:
            self._idle.clear()
            await self._idle.wait()

    async def run(self) -> None:
        """Send until cancelled. What is cut off is found again by whoever comes next."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._poll())
            while True:
                address = await self._started.get()
                tasks.create_task(self._drain(address), name=f"deliver {address.channel}")

    async def _poll(self) -> None:
        while True:
            found = await self._database.fetch(
                SQL.open_deliveries, self._node, list(self._held), list(self._channels), _BATCH
            )
            for record in found:
                self._hold(_outgoing(record))
            await asyncio.sleep(POLL_SECONDS)

    def _hold(self, outgoing: _Outgoing) -> None:
        if outgoing.delivery.delivery_id in self._held:
            return
        self._held.add(outgoing.delivery.delivery_id)
        address = outgoing.delivery.address
        if address in self._queues:
            self._queues[address].append(outgoing)
        else:
            self._queues[address] = deque([outgoing])
            self._started.put_nowait(address)

    async def _drain(self, address: Address) -> None:
        """Send one conversation's deliveries, one after the other."""
        queue = self._queues[address]
        while queue:
            try:
                await self._send(queue[0])
            except Exception:
                # The row is still open; the poll brings it back. Other conversations go on.
                log.exception("delivery %s was put back", queue[0].delivery.delivery_id)
            self._held.discard(queue.popleft().delivery.delivery_id)
        del self._queues[address]
        if not self._held:
            self._idle.set()

    async def _send(self, outgoing: _Outgoing) -> None:
        """Bring one delivery to its end: sent, or a dead letter."""
        delivery = outgoing.delivery
        channel = self._channels[delivery.address.channel]
        if outgoing.cut_off and not may_repeat(outgoing.attempts, idempotent=channel.idempotent):
            await self._end(outgoing, "dead", failure="outcome unknown: the process died twice")
            return
        while True:
            outgoing.attempts += 1
            if not await self._begin(outgoing):
                log.warning("delivery %s is in other hands", delivery.delivery_id)
                return
            crashpoints.reach("before_send")
            try:
                await channel.send(
                    Delivery(delivery.delivery_id, delivery.address, delivery.line,
                             recovered=outgoing.cut_off and not channel.idempotent)
                )  # fmt: skip
            except DeliveryFailure as failure:
                outgoing.cut_off |= isinstance(failure, MaybeSent)
                verdict = after_failure(failure, outgoing.attempts, idempotent=channel.idempotent)
                if not isinstance(verdict, Again):
                    log.error("delivery %s is dead: %s", delivery.delivery_id, verdict.reason)
                    await self._end(outgoing, "dead", failure=verdict.reason)
                    return
                await self._end(outgoing, "pending", pause=verdict.pause)
                await asyncio.sleep(verdict.pause)
                continue
            crashpoints.reach("deliver_before_ack")
            await self._end(outgoing, "sent")
            return

    async def _begin(self, outgoing: _Outgoing) -> bool:
        row = (outgoing.delivery.delivery_id, self._node, outgoing.attempts)
        return await self._database.commit(SQL.begin_attempt, row) is not None

    async def _end(
        self, outgoing: _Outgoing, state: str, *, pause: float = 0.0, failure: str | None = None
    ) -> None:
        row = (
            outgoing.delivery.delivery_id,
            self._node,
            outgoing.attempts,
            state,
            pause,
            failure,
        )
        await self._database.commit(SQL.end_attempt, row)


def _outgoing(record: Record) -> _Outgoing:
    line = Line(
        seq=record["seq"],
        kind=record["kind"],
        text=record["text"],
        at=record["created_at"],
        message_id=record["delivery_id"],
        turn_id=record["turn_id"],
        tools=tuple(record["tools"]),
        interrupted=record["interrupted"],
    )
    address = Address(record["channel"], record["account"], record["chat"], record["thread"])
    return _Outgoing(
        Delivery(record["delivery_id"], address, line),
        attempts=record["attempts"],
        cut_off=record["state"] == "sending",
    )
