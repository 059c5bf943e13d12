"""Sends deliveries: in order within a conversation, side by side between conversations."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol
from uuid import UUID

import msgspec

from opencraw import crashpoints
from opencraw.contract import Address, Choice, Delivery, Line, Option, PartSent
from opencraw.errors import DeliveryFailure, MaybeSent, Unavailable, is_word_to_end
from opencraw.hooks import Denied, Hooks, Point
from opencraw.outbox.attempts import Again, after_failure, may_repeat
from opencraw.sessions.keys import session_key
from opencraw.sessions.send_policy import Place, SendPolicy
from opencraw.store.database import Database, Record
from opencraw.store.queries import load
from opencraw.store.text import storable

log = logging.getLogger(__name__)

SQL = load("opencraw.outbox", "outbox.sql")
POLL_SECONDS = 1.0
#: What had to stand back for an older delivery on another node is looked at again after so long.
LOOK_AGAIN_SECONDS = 0.05
#: A platform that says nothing for so long may or may not have the message.
SEND_SECONDS = 120.0
#: Of the messages that are something else than the one that may have arrived, so many are told.
MOST_OTHERS = 1_000
_BATCH = 500
_options = msgspec.json.Decoder(tuple[Option, ...])


class Sends(Protocol):
    """What the outbox needs of a channel."""

    @property
    def idempotent(self) -> bool:
        """See `Channel.idempotent`."""
        ...

    @property
    def most_attempts(self) -> int:
        """How often a delivery is tried before it is a dead letter."""
        ...

    async def send(self, delivery: Delivery, sent: PartSent) -> None:
        """See `Channel.send`."""
        ...

    def failed(self, attempt: int, failure: DeliveryFailure) -> None:
        """Take note of how attempt number `attempt` (from 1) of a delivery failed."""
        ...

    def gave_up(self, reason: str) -> None:
        """Take note of a dead letter."""
        ...


@dataclass(slots=True)
class _Outgoing:
    delivery: Delivery
    attempts: int = 0
    #: Of the attempts, how many may have arrived.
    unknown: int = 0
    #: Seconds to wait before the next attempt.
    pause: float = 0.0


class Outbox:
    """Owns what is on its way out from this process."""

    def __init__(
        self,
        database: Database,
        node: UUID,
        channels: Mapping[str, Sends],
        speech: SendPolicy | None = None,
        hooks: Hooks | None = None,
    ) -> None:
        self._database = database
        self._node = node
        self._channels = channels
        self._speech = speech or SendPolicy()
        self._hooks = hooks or Hooks()
        self._held: set[UUID] = set()
        self._idle = asyncio.Event()
        self._look_soon = asyncio.Event()
        self._queues: dict[Address, deque[_Outgoing]] = {}
        #: Where the next attempt is some time away.
        self._resting: set[Address] = set()
        self._started: asyncio.Queue[Address] = asyncio.Queue()

    def post(self, delivery: Delivery) -> None:
        """Send what has just been committed. A hint: the poll finds what was never posted."""
        if delivery.address.channel in self._channels:
            self._hold(_Outgoing(delivery))

    async def drained(self) -> None:
        """Return when nothing is on its way, but for what waits to be tried again: whoever comes
        next finds that in the database."""
        while not self._queues.keys() <= self._resting:
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
            try:
                found = await self._database.fetch(
                    SQL.open_deliveries, self._node, list(self._held), list(self._channels), _BATCH
                )
            except Unavailable as error:
                log.warning("looking for deliveries: %s", error)
                found = []
            for record in found:
                self._hold(_outgoing(record))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._look_soon.wait()
                    self._look_soon.clear()
                    await asyncio.sleep(LOOK_AGAIN_SECONDS)

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
        try:
            while queue:
                try:
                    await self._send(queue[0])
                except Exception:
                    # The row is still open; the poll brings it back. Other conversations go on.
                    log.exception("delivery %s was put back", queue[0].delivery.delivery_id)
                self._held.discard(queue.popleft().delivery.delivery_id)
        finally:
            # However this ends: what is still held would never be looked at again.
            self._held.difference_update(each.delivery.delivery_id for each in queue)
            del self._queues[address]
            self._idle.set()

    async def _send(self, outgoing: _Outgoing) -> None:
        """Bring one delivery to its end: sent, or a dead letter."""
        channel = self._channels[outgoing.delivery.address.channel]
        if not may_repeat(outgoing.unknown, idempotent=channel.idempotent):
            reason = f"outcome unknown {outgoing.unknown} times: the process died while sending"
            await self._end(outgoing, "dead", failure=reason)
            return
        await self._rest(outgoing, outgoing.pause)
        if await self._is_held_back(outgoing):
            return
        while place := await self._begin(outgoing):
            # Whatever made this delivery, and whenever: here is where the assistant would speak.
            if denied := self._speech.denies(place):
                reason = f"the assistant may not speak there: queue.send_policy has {denied}"
                await self._end(outgoing, "dead", failure=reason)
                return
            crashpoints.reach("before_send")
            failure = await self._attempt(outgoing, channel)
            if failure is None:
                crashpoints.reach("deliver_before_ack")
                await self._end(outgoing, "sent")
                return
            channel.failed(outgoing.attempts, failure)
            outgoing.unknown += isinstance(failure, MaybeSent)
            verdict = after_failure(
                failure,
                outgoing.attempts,
                outgoing.unknown,
                idempotent=channel.idempotent,
                most_attempts=channel.most_attempts,
                jitter=random.random(),  # noqa: S311 - spreads load, guards nothing
            )
            if not isinstance(verdict, Again):
                await self._end(outgoing, "dead", failure=verdict.reason)
                return
            await self._end(outgoing, "pending", pause=verdict.pause, trouble=str(failure))
            await self._rest(outgoing, verdict.pause)
        # Only what is still open, and whose turn it is, comes back.
        self._look_soon.set()

    async def _rest(self, outgoing: _Outgoing, seconds: float) -> None:
        if not seconds:
            return
        self._resting.add(outgoing.delivery.address)
        self._idle.set()
        try:
            await asyncio.sleep(seconds)
        finally:
            self._resting.discard(outgoing.delivery.address)

    async def _attempt(self, outgoing: _Outgoing, channel: Sends) -> DeliveryFailure | None:
        # Of the first part that this attempt sends. A draft may be a first copy of it, too.
        perhaps = outgoing.unknown > 0 or outgoing.delivery.draft is None
        delivery = msgspec.structs.replace(outgoing.delivery, recovered=perhaps)
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await channel.send(delivery, partial(self._part_sent, outgoing))
        except DeliveryFailure as failure:
            return failure
        except TimeoutError:
            return MaybeSent(f"no answer within {SEND_SECONDS:.0f} s")
        except (Exception, asyncio.CancelledError) as error:
            if is_word_to_end(error):
                raise
            # A defect of the channel. Nobody knows how far it came before it met it.
            log.exception("delivery %s", delivery.delivery_id)
            return MaybeSent(f"{type(error).__name__}: {error}")
        return None

    async def _is_held_back(self, outgoing: _Outgoing) -> bool:
        """Have hooks look at what was never attempted. What they put in its place is on record
        before it is sent, so a second copy says the same."""
        if outgoing.attempts or not self._hooks.at(Point.MESSAGE_SENDING):
            return False
        delivery = outgoing.delivery
        before = delivery.line.text
        verdict = await self._hooks.ask(Point.MESSAGE_SENDING, _facts(delivery))
        failure = None
        if isinstance(verdict, Denied):
            failure = f"a hook held it back: {verdict.reason}"
            text = f"*(Held back: {verdict.reason})*"
            log.error("delivery %s is dead: %s", delivery.delivery_id, failure)
            self._channels[delivery.address.channel].gave_up(failure)
        else:
            text = storable(str(verdict.changes.get("text", before)))
        if text == before:
            return False
        row = (delivery.delivery_id, before, text, failure)
        record = await self._database.commit(SQL.put_in_place, row)
        if record is not None:
            line = msgspec.structs.replace(delivery.line, text=record["text"])
            outgoing.delivery = msgspec.structs.replace(delivery, line=line)
        return record is None or record["state"] == "dead"

    async def _begin(self, outgoing: _Outgoing) -> Place | None:
        """Put the next attempt on record; None when it, or an older one of its conversation at
        this address, is in other hands."""
        outgoing.attempts += 1
        row = (
            outgoing.delivery.delivery_id,
            self._node,
            outgoing.attempts,
            outgoing.unknown,
            self._channels[outgoing.delivery.address.channel].idempotent,
            MOST_OTHERS,
        )
        record = await self._database.commit(SQL.begin_attempt, row)
        if record is None or not record["begun"]:
            return None
        outgoing.delivery = _as_recorded(outgoing.delivery, record)
        address = outgoing.delivery.address
        keys = (record["session_key"], session_key(address, record["tenant"]))
        return Place(address.channel, record["chat_type"], keys)

    async def _part_sent(self, outgoing: _Outgoing, platform_id: str) -> None:
        """Put on record that one more part is there, before the next one is sent."""
        delivery = outgoing.delivery
        parts = (*delivery.parts, storable(platform_id))
        await self._database.commit(SQL.part_sent, (delivery.delivery_id, len(parts), parts[-1]))
        outgoing.delivery = msgspec.structs.replace(delivery, parts=parts)
        outgoing.unknown = 0
        crashpoints.reach("deliver_between_parts")

    async def _end(
        self,
        outgoing: _Outgoing,
        state: str,
        *,
        pause: float = 0.0,
        failure: str | None = None,
        trouble: str = "",
    ) -> None:
        if failure is not None:
            log.error("delivery %s is dead: %s", outgoing.delivery.delivery_id, failure)
            self._channels[outgoing.delivery.address.channel].gave_up(failure)
        row = (
            outgoing.delivery.delivery_id,
            self._node,
            outgoing.attempts,
            outgoing.unknown,
            state,
            pause,
            failure and storable(failure),
            storable(trouble),
        )
        await self._database.commit(SQL.end_attempt, row)


def _as_recorded(delivery: Delivery, record: Record) -> Delivery:
    """A delivery with what its row, its turn and its parts say of it by now."""
    parts = tuple(record["parts"])
    choice = None
    if record["choice_id"] is not None:
        choice = Choice(record["choice_id"], _options.decode(record["options"]))
    return msgspec.structs.replace(
        delivery,
        reply_context=record["reply_context"],
        parts=parts,
        ends=record["ends"],
        draft="" if parts else record["draft"],
        choice=choice,
        others=tuple(record["others"]),
    )


def _facts(delivery: Delivery) -> Mapping[str, object]:
    address, line = delivery.address, delivery.line
    return {
        "delivery_id": delivery.delivery_id,
        "turn_id": line.turn_id,
        "channel_id": address.channel,
        "account": address.account,
        "chat": address.chat,
        "thread": address.thread,
        "kind": line.kind,
        "tools": list(line.tools),
        "interrupted": line.interrupted,
        "size": len(line.text),
        "text": line.text,
    }


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
        # An attempt without an end was cut off.
        unknown=record["unknown"] + (record["state"] == "sending"),
        pause=record["pause"] or 0.0,
    )
