"""Who comes in: everything that people do on a platform passes here first."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Self

import msgspec

from opencraw.access.admission import Admission
from opencraw.access.choices import Choices
from opencraw.access.loops import Loops
from opencraw.access.policy import Admitted, Code, Ignored, Stranger, Who
from opencraw.contract import Channel, Envelope
from opencraw.errors import NotAdmitted
from opencraw.gateway import letting_in
from opencraw.gateway.decisions import Decisions
from opencraw.gateway.desk import Desk
from opencraw.gateway.errands import Errands
from opencraw.gateway.notices import Notices
from opencraw.gateway.questions import Questions
from opencraw.gateway.strangers import Strangers, Ways
from opencraw.store.database import Database


class Entrance:
    """Lets people in with the rights that they have, and nobody else."""

    def __init__(
        self,
        admission: Admission,
        strangers: Strangers,
        questions: Questions,
        errands: Errands,
        decisions: Decisions,
    ) -> None:
        self._admission = admission
        self.strangers = strangers
        self.questions = questions
        self._errands = errands
        self._decisions = decisions
        self._loops = Loops()

    @classmethod
    def open(
        cls,
        database: Database,
        admission: Admission,
        channels: Mapping[str, Channel],
        desk: Desk,
        notices: Notices,
    ) -> Self:
        """The entrance to these channels."""
        choices = Choices(database, {letting_in.KIND: letting_in.kind(admission.pairing)})
        decisions = Decisions(admission.pairing, choices, channels, notices)
        questions = Questions(choices, admission, channels, desk, decisions)
        ways = Ways(channels, notices, desk.limits.speech)
        errands = Errands()
        strangers = Strangers(questions, admission, ways, errands)
        return cls(admission, strangers, questions, errands, decisions)

    async def run(self) -> None:
        """Tell strangers how to be let in and everybody what was decided, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._errands.run())
            tasks.create_task(self._decisions.run())

    async def admits(self, envelope: Envelope) -> bool:
        """Whether whoever wrote this would be let in. Changes nothing."""
        return await self.hears(Who.wrote(envelope), envelope.tenant)

    async def hears(self, who: Who, tenant: str) -> bool:
        """Whether somebody may do anything here at all. Changes nothing."""
        return await self._admission.rights(who, tenant) is not None

    async def let_in(self, envelope: Envelope) -> Envelope:
        """The same message, with the rights of whoever wrote it. Raises `NotAdmitted`."""
        who = Who.wrote(envelope)
        verdict, standing = await self._admission.look(who, envelope.tenant)
        match verdict:
            case Admitted(rights):
                if self._is_loop(who):
                    raise _not_admitted(Code.LOOP)
                sender = msgspec.structs.replace(envelope.sender, rights=rights)
                return msgspec.structs.replace(envelope, sender=sender)
            case Stranger():
                raise _not_admitted(await self.strangers.knock(envelope, standing))
            case Ignored(code):
                raise _not_admitted(code)

    def _is_loop(self, who: Who) -> bool:
        counts = who.sender.machine and not self._admission.vouches(who.address.channel)
        return counts and not self._loops.hears(who.address, who.sender.id)


def _not_admitted(code: Code) -> NotAdmitted:
    return NotAdmitted(f"This sender is not let in here: {code}.", code=code.value)
