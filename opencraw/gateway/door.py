"""accept(): the one way in for people, timers, webhooks and workflows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID, uuid4

from opencraw import crashpoints
from opencraw.contract import (
    DEFAULT_TENANT,
    Address,
    Delivery,
    Draft,
    Envelope,
    Line,
    Receipt,
    Trigger,
    Waiting,
)
from opencraw.errors import NotFound, QueueFull, Refused, Unavailable
from opencraw.events import Event, QueueChanged
from opencraw.gateway import commands
from opencraw.gateway.models import Models
from opencraw.queue.rules import QueueRules
from opencraw.queue.turns import AGENT, Turns, session_id, session_key
from opencraw.sessions.transcript import Change, Session, Sessions
from opencraw.settings import Mode
from opencraw.store.text import storable

LONGEST_TEXT = 1_000_000
LONGEST_KEY = 512
#: In bytes; an address has so many in all its parts together.
LONGEST_NAME = 512
#: A channel is told to come back rather than kept waiting for longer than this.
PATIENCE_SECONDS = 10.0
#: Opened a conversation in which only the daemon has spoken.
_NOBODY = ""


class Lanes(Protocol):
    """Whoever runs the turns. What is told here is a hint; the database has the truth already."""

    def waiting(self, session: UUID) -> int: ...
    def arrived(self, session: UUID, rights: str) -> None: ...
    def repeated(self, session: UUID, rights: str) -> None: ...
    def withdrawn(self, session: UUID) -> None: ...
    def mode_changed(self, session: UUID, mode: Mode) -> None: ...
    def stop(self, session: UUID) -> None: ...
    def draft(self, session: UUID) -> Draft | None: ...


@dataclass(frozen=True)
class Outlets:
    """Where the door's own words and signs go."""

    deliver: Callable[[Delivery], None]
    show: Callable[[Address, Event], None]
    #: The names of the open channels.
    channels: Callable[[], tuple[str, ...]]


class Door:
    """What channels are given: see `opencraw.contract.Gateway`."""

    def __init__(
        self,
        turns: Turns,
        sessions: Sessions,
        lanes: Lanes,
        *,
        rules: QueueRules,
        models: Models,
        outlets: Outlets,
    ) -> None:
        self._turns = turns
        self._sessions = sessions
        self._lanes = lanes
        self._rules = rules
        self._models = models
        self._outlets = outlets
        self._started = time.monotonic()
        self._one_command_at_a_time = asyncio.Lock()
        self._closed = False

    @property
    def model(self) -> str:
        return self._models.default

    @property
    def uptime_seconds(self) -> float:
        return time.monotonic() - self._started

    def close(self) -> None:
        """Take nothing more."""
        self._closed = True

    async def accept(self, envelope: Envelope) -> Receipt:
        """Return once the message is durable; a channel may then acknowledge it.

        Raises `Refused` for what will never be taken and `Unavailable` for what may be offered
        again: the message may or may not have been stored, and its dedupe key keeps it one.
        """
        if self._closed:
            raise Unavailable(
                "OpenCraw is stopping; the message was not taken. Send it again soon."
            )
        _check(envelope)
        crashpoints.reach("accept_before_persist")
        if commands.is_command(envelope.text):
            receipt = await self._command(envelope)
        else:
            receipt = await self._message(envelope)
        crashpoints.reach("persist_before_ack")
        return receipt

    async def _message(self, envelope: Envelope) -> Receipt:
        session = session_id(envelope.address, envelope.tenant)
        if self._lanes.waiting(session) >= self._rules.lane_buffer:
            if known := await self._turns.known(envelope, patience=PATIENCE_SECONDS):
                return Receipt(known, duplicate=True)
            raise QueueFull(
                f"{self._rules.lane_buffer} messages of this conversation wait already; this one "
                "was not taken. Send it again when some are answered, or /stop to take them back."
            )
        receipt = await self._turns.accept(envelope, patience=PATIENCE_SECONDS)
        if receipt.duplicate:
            # It may wait unknown to the lane, if the first offer ended without an answer. One that
            # is being answered must not interrupt itself.
            waiting = await self._sessions.pending(session)
            if any(each.message_id == receipt.message_id for each in waiting):
                self._lanes.repeated(session, envelope.sender.rights.value)
        else:
            self._lanes.arrived(session, envelope.sender.rights.value)
            self._outlets.show(envelope.address, QueueChanged())
        return receipt

    async def _command(self, envelope: Envelope) -> Receipt:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS), self._one_command_at_a_time:
                return await self._answer(envelope)
        except TimeoutError:
            raise Unavailable("the database does not answer; send the command again") from None

    async def _answer(self, envelope: Envelope) -> Receipt:
        """Answer a command: what it changes and what it says are one effect."""
        address = envelope.address
        session = await self._opened(address, envelope.tenant, envelope.sender.id)
        rules = self._rules
        situation = commands.Situation(
            session=session,
            models=self._models,
            mode=rules.mode(address.channel, session.mode),
            debounce_ms=round(rules.window(address.channel, session.debounce_ms) * 1000),
            channels=self._outlets.channels(),
            uptime_seconds=self.uptime_seconds,
        )
        answer = commands.answer(storable(envelope.text), situation)
        message_id = uuid4()
        change = Change(answer.change, answer.mode, answer.debounce_ms, answer.model)
        line, first = await self._sessions.answer_command(
            session.id, envelope, message_id, change, answer.text
        )
        if first != message_id:
            return Receipt(first, duplicate=True)
        self._carry_out(address, session.id, answer)
        self._outlets.deliver(Delivery(line.message_id, address, line))
        return Receipt(message_id, duplicate=False)

    def _carry_out(self, address: Address, session: UUID, answer: commands.Answer) -> None:
        """Tell the running process what the database knows already."""
        if answer.change in ("stop", "reset"):
            self._lanes.stop(session)
            self._outlets.show(address, QueueChanged())
        elif answer.change == "queue":
            mode = self._rules.mode(address.channel, answer.mode)
            self._lanes.mode_changed(session, mode)

    async def _opened(self, address: Address, tenant: str, opened_by: str) -> Session:
        session = session_id(address, tenant)
        found = await self._sessions.session(session)
        if found is None:
            key = session_key(address, tenant)
            await self._sessions.open(
                session, key, address, tenant=tenant, agent=AGENT, opened_by=opened_by
            )
            found = await self._sessions.session(session)
        if found is None:
            raise Unavailable("the conversation could not be opened; try again")
        return found

    async def post(self, address: Address, tenant: str, text: str) -> UUID:
        """Say something that no turn said. Returns the id of the delivery once it is durable."""
        known = self._outlets.channels()
        if address.channel not in known:
            raise NotFound(
                f"There is no channel {address.channel!r} here. Channels: {', '.join(known)}"
            )
        if not text.strip() or len(text) > LONGEST_TEXT:
            raise Refused(f"A message has 1 to {LONGEST_TEXT:,} characters.", code="INVALID_FIELD")
        _check_names(address, tenant)
        session = await self._opened(address, tenant, _NOBODY)
        line = await self._sessions.post(session.id, storable(text), patience=PATIENCE_SECONDS)
        self._outlets.deliver(Delivery(line.message_id, address, line))
        return line.message_id

    async def history(
        self, address: Address, *, before: int | None = None, after: int = 0, limit: int = 100
    ) -> Sequence[Line]:
        """The newest `limit` lines with `after < seq < before`, oldest first."""
        session = session_id(address, DEFAULT_TENANT)
        return await self._sessions.lines(session, before=before, after=after, limit=limit)

    async def waiting(self, address: Address) -> Sequence[Waiting]:
        """Accepted messages that no turn has taken up yet, in order."""
        return await self._sessions.pending(session_id(address, DEFAULT_TENANT))

    async def withdraw(self, address: Address, message_id: UUID) -> bool:
        """Take a waiting message back. False when a turn has it already or nobody knows it."""
        session = session_id(address, DEFAULT_TENANT)
        gone = await self._turns.withdraw(session, message_id)
        if gone:
            self._lanes.withdrawn(session)
            self._outlets.show(address, QueueChanged())
        return gone

    def draft(self, address: Address) -> Draft | None:
        """The turn that runs for this address in this process, if any."""
        return self._lanes.draft(session_id(address, DEFAULT_TENANT))


def _check(envelope: Envelope) -> None:
    """Refuse what no later step could handle, with words for the sender."""
    if not envelope.text.strip():
        raise Refused("The message is empty.", code="INVALID_FIELD")
    if len(envelope.text) > LONGEST_TEXT:
        raise Refused(
            f"The message has {len(envelope.text):,} characters; at most {LONGEST_TEXT:,} are "
            "taken. Send it in parts.",
            code="INVALID_FIELD",
        )
    key = envelope.dedupe_key
    if not 0 < len(key) <= LONGEST_KEY or not _is_storable(key, LONGEST_KEY):
        raise Refused(
            f"A message's own id has 1 to {LONGEST_KEY} characters, and none that cannot be kept.",
            code="INVALID_IDEMPOTENCY_KEY",
        )
    _check_names(envelope.address, envelope.tenant)
    if not _is_storable(envelope.sender.id, LONGEST_NAME):
        raise Refused("The sender's id cannot be kept.", code="INVALID_FIELD")
    if envelope.trigger_type is Trigger.COMMAND and not commands.is_command(envelope.text):
        raise Refused("This is not a command.", code="INVALID_FIELD")


def _check_names(address: Address, tenant: str) -> None:
    """Refuse an address that no index can hold, however its platform came by it."""
    names = (address.channel, address.account, address.chat, address.thread, tenant)
    if not _is_storable("".join(names), LONGEST_NAME):
        raise Refused("The address of this conversation cannot be kept.", code="INVALID_FIELD")


def _is_storable(name: str, longest: int) -> bool:
    return storable(name) == name and len(name.encode()) <= longest
