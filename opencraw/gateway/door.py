"""accept(): the one way in for people, timers, webhooks and workflows."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID, uuid4
from weakref import WeakValueDictionary

import msgspec

from opencraw import crashpoints
from opencraw.contract import (
    DEFAULT_TENANT,
    Address,
    ChatType,
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
from opencraw.gateway.limits import Limits
from opencraw.gateway.memories import Known, Memories
from opencraw.gateway.models import Models
from opencraw.gateway.screening import Screening, said_no
from opencraw.gateway.turnstile import Turnstile
from opencraw.limits.rates import sender_of
from opencraw.queue.inbox import Inbox
from opencraw.queue.rules import QueueRules
from opencraw.sessions.change import (
    Change,
    ChooseModel,
    ChooseQueue,
    ChooseTimeZone,
    Compact,
    Reset,
    Speak,
    Stop,
)
from opencraw.sessions.choice import QueueChoice
from opencraw.sessions.keys import AGENT, Conversation, Conversations
from opencraw.sessions.send_policy import Place
from opencraw.sessions.transcript import Session, Sessions
from opencraw.sessions.voice import Voice
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

    def is_crowded(self, session: UUID) -> bool: ...
    def refuses(self, session: UUID, channel: str, coming: int) -> int | None: ...
    def arrived(self, session: UUID, voice: Voice, origin: str) -> None: ...
    def repeated(self, session: UUID, voice: Voice, origin: str) -> None: ...
    def withdrawn(self, session: UUID) -> None: ...
    def choice_changed(self, session: UUID, channel: str, choice: QueueChoice) -> None: ...
    def stop(self, session: UUID) -> None: ...
    def draft(self, session: UUID, address: Address) -> Draft | None: ...


@dataclass(frozen=True)
class Outlets:
    """Where the door's own words and signs go, and where conversations go on."""

    deliver: Callable[[Delivery], None]
    show: Callable[[Address, Event], None]
    #: The names of the open channels.
    channels: Callable[[], tuple[str, ...]]
    conversations: Conversations = field(default_factory=Conversations)
    #: What is remembered of people, where that is on.
    memories: Memories | None = None


class Door:
    """What channels are given: see `opencraw.contract.Gateway`."""

    def __init__(
        self,
        inbox: Inbox,
        sessions: Sessions,
        lanes: Lanes,
        *,
        rules: QueueRules,
        models: Models,
        outlets: Outlets,
        limits: Limits | None = None,
        powers: commands.Powers | None = None,
    ) -> None:
        self._inbox = inbox
        self._sessions = sessions
        self._lanes = lanes
        self._turnstile = Turnstile(lanes.is_crowded)
        self._rules = rules
        self._models = models
        self._outlets = outlets
        self._conversations = outlets.conversations
        self._started = time.monotonic()
        self._limits = limits or Limits()
        self._powers = powers or commands.Powers()
        self._screening = Screening(self._limits.hooks)
        #: How many messages of each session are on their way into the database.
        self._coming: Counter[UUID] = Counter()
        #: Commands of one conversation are answered one at a time. A lock is there while somebody
        #: holds it or waits for it.
        self._answering: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    @property
    def model(self) -> str:
        return self._models.default

    @property
    def uptime_seconds(self) -> float:
        return time.monotonic() - self._started

    async def accept(self, envelope: Envelope) -> Receipt:
        """Return once the message is durable; a channel may then acknowledge it.

        Raises `Refused` for what will never be taken, `SlowDown` for what comes too fast, and
        `Unavailable` for what may be offered again: the message may or may not have been stored,
        and its dedupe key keeps it one.
        """
        _check(envelope)
        sender = sender_of(envelope)
        # However much somebody said before, their /stop is heard: it has a bucket of its own.
        bucket = f"{sender}/stop" if commands.is_stop(envelope.text) else sender
        self._limits.rates.take(bucket, envelope.dedupe_key)
        crashpoints.reach("accept_before_persist")
        here = self._conversations.of(envelope)
        if self._limits.denies(envelope, here) is not None:
            receipt = await self._inbox.accept(
                envelope, here, muted=True, patience=PATIENCE_SECONDS
            )
        elif commands.is_command(envelope.text):
            receipt = await self._command(envelope, here)
        else:
            receipt = await self._message(envelope, here)
        crashpoints.reach("persist_before_ack")
        return receipt

    async def _message(self, envelope: Envelope, here: Conversation) -> Receipt:
        most = self._lanes.refuses(here.id, envelope.address.channel, self._coming[here.id])
        if most is not None:
            if known := await self._inbox.known(envelope, patience=PATIENCE_SECONDS):
                return known
            raise QueueFull(
                f"{most} messages of this conversation wait already; this one was not taken. "
                "Send it again when some are answered, or /stop to take them back."
            )
        with self._on_its_way(here.id):
            async with self._screening.of(envelope, here.id) as verdict:
                if reason := said_no(verdict):
                    return await self._denied(envelope, reason)
                return await self._taken_in(envelope, here)

    async def _denied(self, envelope: Envelope, reason: str) -> Receipt:
        """What was taken in stays so; anything else is refused."""
        if known := await self._inbox.known(envelope, patience=PATIENCE_SECONDS):
            return known
        raise Refused(reason, code="FORBIDDEN")

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

    async def _command(self, envelope: Envelope, here: Conversation) -> Receipt:
        mine = self._answering.setdefault(here.id, asyncio.Lock())
        try:
            async with asyncio.timeout(PATIENCE_SECONDS), mine:
                return await self._answer(envelope, here)
        except TimeoutError:
            raise Unavailable("the database does not answer; send the command again") from None

    async def _answer(self, envelope: Envelope, here: Conversation) -> Receipt:
        """Answer a command. What it asks first is a message, looked at like any other."""
        session = await self._opened(here, envelope.sender.id, envelope.chat_type)
        situation = commands.Situation(
            session=session,
            models=self._models,
            rules=self._rules.of(here.address.channel, session.choice),
            channels=self._outlets.channels(),
            uptime_seconds=self.uptime_seconds,
            chat_type=envelope.chat_type,
            rights=envelope.sender.rights,
            spent=await self._spent(here.tenant),
            powers=self._powers,
            memories=await self._remembered(envelope),
        )
        answer = commands.answer(storable(envelope.text), situation)
        if not (isinstance(answer.change, Reset) and answer.change.asks):
            return await self._carried_out(envelope, here, answer)
        asks = msgspec.structs.replace(envelope, text=answer.change.asks)
        async with self._screening.of(asks, here.id) as verdict:
            if reason := said_no(verdict):
                return await self._denied(envelope, reason)
            return await self._carried_out(envelope, here, answer)

    async def _carried_out(
        self, envelope: Envelope, here: Conversation, answer: commands.Answer
    ) -> Receipt:
        """Do what a command says and answer it: both are one effect."""
        await self._act(envelope, answer)
        message_id = uuid4()
        line, first = await self._sessions.answer_command(
            here.id, envelope, message_id, answer.change, answer.text
        )
        if first != message_id:
            return Receipt(first, duplicate=True)
        self._carry_out(here, answer.change)
        if isinstance(answer.change, Reset) and answer.change.asks:
            voice = Voice(envelope.sender.rights.value, here.address)
            self._lanes.arrived(here.id, voice, envelope.origin.value)
        self._outlets.deliver(Delivery(line.message_id, here.address, line))
        return Receipt(message_id, duplicate=False)

    def _carry_out(self, here: Conversation, change: Change | None) -> None:
        """Tell the running process what the database knows already."""
        match change:
            case Stop() | Reset():
                self._lanes.stop(here.id)
                self._outlets.show(here.address, QueueChanged())
            case ChooseQueue(choice):
                self._lanes.choice_changed(here.id, here.address.channel, choice)
            case ChooseModel() | Speak() | Compact() | ChooseTimeZone() | None:
                pass  # whoever needs it reads it

    async def _remembered(self, envelope: Envelope) -> Known | None:
        """What `/memory` may be about; nothing else is told of it."""
        asked = commands.asks_memory(storable(envelope.text))
        memories = self._outlets.memories
        return None if memories is None or asked is None else await memories.known(envelope, asked)

    async def _act(self, envelope: Envelope, answer: commands.Answer) -> None:
        """Change memory, once for each command: what a person said since must not be undone."""
        memories = self._outlets.memories
        if answer.act is None or memories is None:
            return
        if await self._inbox.known(envelope, patience=PATIENCE_SECONDS) is None:
            await memories.carry_out(envelope, answer.act)

    async def _spent(self, tenant: str) -> tuple[int, int] | None:
        spending = self._limits.spending
        return None if spending is None else (await spending.today(tenant, AGENT), spending.cap)

    async def _opened(
        self, here: Conversation, opened_by: str, chat_type: ChatType | None
    ) -> Session:
        found = await self._sessions.session(here.id)
        if found is None:
            await self._sessions.open(here, opened_by=opened_by, chat_type=chat_type)
            found = await self._sessions.session(here.id)
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
        here = self._conversations.at(address, tenant)
        listener = self._conversations.listener(address)
        chat_type = listener.chat_type if listener is not None else None
        self._check_speech(here, await self._opened(here, _NOBODY, chat_type))
        line = await self._sessions.post(here, storable(text), patience=PATIENCE_SECONDS)
        self._outlets.deliver(Delivery(line.message_id, address, line))
        return line.message_id

    def _check_speech(self, here: Conversation, session: Session) -> None:
        """Refuse to speak first where the assistant may not speak."""
        place = Place(here.address.channel, session.chat_type, here.keys)
        if reason := self._limits.speech.denies(place):
            raise Refused(
                f"The assistant may not speak there: queue.send_policy has {reason}. "
                "Nothing was sent. Change the rule first, or write to somebody else.",
                code="FORBIDDEN",
            )
        if session.sends is False:
            raise Refused(
                "The assistant was told to be silent there (/send off). Nothing was sent. Say "
                "/send on there first, or write to somebody else.",
                code="FORBIDDEN",
            )

    async def history(
        self, address: Address, *, before: int | None = None, after: int = 0, limit: int = 100
    ) -> Sequence[Line]:
        """The newest `limit` lines with `after < seq < before`, oldest first."""
        session = self.conversation(address)
        return await self._sessions.lines(session, address, before=before, after=after, limit=limit)

    async def waiting(self, address: Address) -> Sequence[Waiting]:
        """Accepted messages that no turn has taken up yet, in order."""
        return await self._sessions.pending(self.conversation(address))

    async def withdraw(self, address: Address, message_id: UUID) -> bool:
        """Take a waiting message back. False when a turn has it already or nobody knows it."""
        session = self.conversation(address)
        withdrawn = await self._inbox.withdraw(session, message_id)
        if withdrawn is None:
            return False
        if withdrawn == "waiting":
            self._lanes.withdrawn(session)
        self._outlets.show(address, QueueChanged())
        return True

    def draft(self, address: Address) -> Draft | None:
        """The turn that runs for this address in this process, if any."""
        return self._lanes.draft(self.conversation(address), address)

    def conversation(self, address: Address) -> UUID:
        """The id of the conversation that goes on at this address."""
        return self._conversations.at(address, DEFAULT_TENANT).id


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
    if commands.is_too_long(envelope.text):
        raise Refused(
            f"A command has at most {commands.LONGEST:,} characters. To send this to the "
            "assistant, begin it with something else than `/`.",
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
