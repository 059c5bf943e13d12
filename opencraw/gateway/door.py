"""accept(): the one way in for people, timers, webhooks and workflows."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from opencraw import crashpoints
from opencraw.contract import PATIENCE_SECONDS, Envelope, Receipt
from opencraw.errors import QueueFull
from opencraw.events import QueueChanged
from opencraw.gateway import commands
from opencraw.gateway.answering import Answering
from opencraw.gateway.bounds import check
from opencraw.gateway.desk import Desk
from opencraw.gateway.entrance import Entrance
from opencraw.gateway.screening import Screening, refuse_denied, said_no
from opencraw.gateway.turnstile import Turnstile
from opencraw.limits.rates import bucket_of
from opencraw.sessions.keys import Conversation
from opencraw.sessions.voice import Voice


class Door:
    """Takes messages in."""

    def __init__(self, desk: Desk, entrance: Entrance) -> None:
        self._inbox = desk.inbox
        self._lanes = desk.lanes
        self._turnstile = Turnstile(desk.lanes.is_crowded)
        self._outlets = desk.outlets
        self._conversations = desk.outlets.conversations
        self._limits = desk.limits
        self._screening = Screening(desk.limits.hooks)
        self._entrance = entrance
        self._answering = Answering(desk, self._screening, entrance.strangers)
        #: How many messages of each session are on their way into the database.
        self._coming: Counter[UUID] = Counter()

    @property
    def uptime_seconds(self) -> float:
        return self._answering.uptime_seconds

    async def accept(self, envelope: Envelope) -> Receipt:
        """Return once the message is durable; a channel may then acknowledge it.

        Raises `Refused` for what will never be taken, `SlowDown` for what comes too fast, and
        `Unavailable` for what may be offered again: the message may or may not have been stored,
        and its dedupe key keeps it one.
        """
        envelope = await self._entrance.let_in(envelope)
        check(envelope)
        self._count(envelope)
        crashpoints.reach("accept_before_persist")
        here = self._conversations.of(envelope)
        if self._limits.denies(envelope, here) is not None:
            receipt = await self._inbox.accept(
                envelope, here, muted=True, patience=PATIENCE_SECONDS
            )
        elif commands.is_command(envelope.text):
            receipt = await self._answering.command(envelope, here)
        else:
            receipt = await self._message(envelope, here)
        crashpoints.reach("persist_before_ack")
        return receipt

    def _count(self, envelope: Envelope) -> None:
        bucket = bucket_of(envelope, time.time())
        # However much somebody said before, their /stop is heard: it has a bucket of its own.
        if commands.is_stop(envelope.text):
            bucket = f"{bucket}/stop"
        self._limits.rates.take(bucket, envelope.dedupe_key)

    async def _message(self, envelope: Envelope, here: Conversation) -> Receipt:
        if full := self._full(envelope, here):
            if known := await self._inbox.known(envelope, patience=PATIENCE_SECONDS):
                return known
            raise full
        with self._on_its_way(here.id):
            async with self._screening.of(envelope, here.id) as verdict:
                if reason := said_no(verdict):
                    return await refuse_denied(self._inbox, envelope, reason)
                return await self._taken_in(envelope, here)

    def _full(self, envelope: Envelope, here: Conversation) -> QueueFull | None:
        most = self._lanes.refuses(here.id, envelope.address.channel, self._coming[here.id])
        if most is None:
            return None
        return QueueFull(
            f"{most} messages of this conversation wait already; this one was not taken. "
            "Send it again when some are answered, or /stop to take them back."
        )

    @contextmanager
    def _on_its_way(self, session: UUID) -> Iterator[None]:
        """A message takes its place at the door: its lane knows of it only when it is durable."""
        self._coming[session] += 1
        try:
            yield
        finally:
            self._coming[session] -= 1
            if not self._coming[session]:
                del self._coming[session]

    async def _taken_in(self, envelope: Envelope, here: Conversation) -> Receipt:
        async with self._turnstile.through(here.id):
            receipt = await self._inbox.accept(envelope, here, patience=PATIENCE_SECONDS)
        if receipt.muted:
            return receipt
        voice = Voice(envelope.sender.rights.value, envelope.address)
        if not receipt.duplicate:
            self._lanes.arrived(here.id, voice, envelope.origin.value)
            self._outlets.show(envelope.address, QueueChanged())
        elif await self._inbox.is_waiting(receipt.message_id):
            # It may wait unknown to the lane, if the first offer ended without an answer. One that
            # is being answered must not interrupt itself.
            self._lanes.repeated(here.id, voice, envelope.origin.value)
        return receipt

    async def awaits(self, envelope: Envelope) -> bool:
        """Whether `accept` would store this message and has not done so. Raises what `accept` would
        raise, except for strangers."""
        if not await self._entrance.admits(envelope):
            return False
        check(envelope)
        self._count(envelope)
        if await self._inbox.known(envelope, patience=PATIENCE_SECONDS):
            return False
        if full := self._full(envelope, self._conversations.of(envelope)):
            raise full
        return True
