"""Answers commands: at the door, never behind a turn, each once however often it is repeated."""

from __future__ import annotations

import asyncio
import time
from uuid import UUID, uuid4
from weakref import WeakValueDictionary

import msgspec

from opencraw.contract import PATIENCE_SECONDS, Delivery, Envelope, Receipt, Rights
from opencraw.errors import Refused, Unavailable
from opencraw.events import QueueChanged
from opencraw.gateway import commands, letting_in
from opencraw.gateway.desk import Desk
from opencraw.gateway.memories import Known
from opencraw.gateway.notices import opened
from opencraw.gateway.screening import Screening, refuse_denied, said_no
from opencraw.gateway.strangers import Strangers
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
from opencraw.sessions.keys import AGENT, Conversation
from opencraw.sessions.voice import Voice
from opencraw.store.text import storable


class Answering:
    """The commands of this node."""

    def __init__(self, desk: Desk, screening: Screening, strangers: Strangers) -> None:
        self._desk = desk
        self._screening = screening
        self._strangers = strangers
        self._started = time.monotonic()
        #: Commands of one conversation are answered one at a time. A lock is there while somebody
        #: holds it or waits for it.
        self._locks: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    @property
    def uptime_seconds(self) -> float:
        return time.monotonic() - self._started

    async def command(self, envelope: Envelope, here: Conversation) -> Receipt:
        """Return once the command was carried out and its answer is durable."""
        mine = self._locks.setdefault(here.id, asyncio.Lock())
        try:
            async with asyncio.timeout(PATIENCE_SECONDS), mine:
                return await self._answer(envelope, here)
        except TimeoutError:
            raise Unavailable("the database does not answer; send the command again") from None

    async def _answer(self, envelope: Envelope, here: Conversation) -> Receipt:
        """Answer a command. What it asks first is a message, looked at like any other."""
        desk = self._desk
        session = await opened(desk.sessions, here, envelope.sender.id, envelope.chat_type)
        situation = commands.Situation(
            session=session,
            models=desk.models,
            rules=desk.rules.of(here.address.channel, session.choice),
            channels=desk.outlets.channels(),
            uptime_seconds=self.uptime_seconds,
            chat_type=envelope.chat_type,
            rights=envelope.sender.rights,
            sender_id=envelope.sender.id,
            has_owner=envelope.sender.rights is Rights.OWNER
            or await self._strangers.has_owner(envelope.address.channel, envelope.address.account),
            here=envelope.address,
            spent=await self._spent(here.tenant),
            powers=desk.powers,
            memories=await self._remembered(envelope),
            requests=await self._requests(envelope),
        )
        answer = commands.answer(storable(envelope.text), situation)
        if not (isinstance(answer.change, Reset) and answer.change.asks):
            return await self._carried_out(envelope, here, answer)
        asks = msgspec.structs.replace(envelope, text=answer.change.asks)
        async with self._screening.of(asks, here.id) as verdict:
            if reason := said_no(verdict):
                return await refuse_denied(desk.inbox, envelope, reason)
            return await self._carried_out(envelope, here, answer)

    async def _carried_out(
        self, envelope: Envelope, here: Conversation, answer: commands.Answer
    ) -> Receipt:
        """Do what a command says and answer it: both are one effect."""
        text = await self._act(envelope, answer)
        message_id = uuid4()
        line, first = await self._desk.sessions.answer_command(
            here.id, envelope, message_id, answer.change, text
        )
        if first != message_id:
            return Receipt(first, duplicate=True)
        self._carry_out(here, answer.change)
        if isinstance(answer.change, Reset) and answer.change.asks:
            voice = Voice(envelope.sender.rights.value, here.address)
            self._desk.lanes.arrived(here.id, voice, envelope.origin.value)
        self._desk.outlets.deliver(Delivery(line.message_id, here.address, line))
        return Receipt(message_id, duplicate=False)

    def _carry_out(self, here: Conversation, change: Change | None) -> None:
        """Tell the running process what the database knows already."""
        match change:
            case Stop() | Reset():
                self._desk.lanes.stop(here.id)
                self._desk.outlets.show(here.address, QueueChanged())
            case ChooseQueue(choice):
                self._desk.lanes.choice_changed(here.id, here.address.channel, choice)
            case ChooseModel() | Speak() | Compact() | ChooseTimeZone() | None:
                pass  # whoever needs it reads it

    async def _remembered(self, envelope: Envelope) -> Known | None:
        """What `/memory` may be about; nothing else is told of it."""
        asked = commands.asks_memory(storable(envelope.text))
        memories = self._desk.outlets.memories
        return None if memories is None or asked is None else await memories.known(envelope, asked)

    async def _requests(self, envelope: Envelope) -> letting_in.Requests | None:
        """Who waits to be let in, for `/pair` of an owner; nobody else is told."""
        is_owner = envelope.sender.rights is Rights.OWNER
        if not (is_owner and commands.asks_pairing(storable(envelope.text))):
            return None
        return await self._strangers.requests()

    async def _act(self, envelope: Envelope, answer: commands.Answer) -> str:
        """Do what goes beyond the conversation, once for each command: what was said since must not
        be undone. Returns what is answered."""
        desk = self._desk
        match answer.act:
            case None:
                return answer.text
            case letting_in.Resolve() as resolve:
                try:
                    return await self._strangers.resolve_for(envelope, resolve)
                except Refused as refused:
                    return str(refused)
            case act:
                known = await desk.inbox.known(envelope, patience=PATIENCE_SECONDS)
                if desk.outlets.memories is not None and known is None:
                    await desk.outlets.memories.carry_out(envelope, act)
                return answer.text

    async def _spent(self, tenant: str) -> tuple[int, int] | None:
        spending = self._desk.limits.spending
        return None if spending is None else (await spending.today(tenant, AGENT), spending.cap)
