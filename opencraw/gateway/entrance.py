"""Who comes in: everything that people do on a platform passes here first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import msgspec

from opencraw.access.admission import Admission
from opencraw.access.choices import Choices, Kind
from opencraw.access.loops import Loops
from opencraw.access.pairing import Pairing
from opencraw.access.policy import Admitted, Code, Ignored, Stranger, Who
from opencraw.contract import Channel, Envelope
from opencraw.errors import NotAdmitted
from opencraw.gateway import letting_in
from opencraw.gateway.desk import Desk
from opencraw.gateway.errands import Errands
from opencraw.gateway.questions import Questions
from opencraw.gateway.speaking import Speaker
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
    ) -> None:
        self.admission = admission
        self.strangers = strangers
        self.questions = questions
        self._errands = errands
        self._loops = Loops()

    @classmethod
    def open(
        cls,
        database: Database,
        admission: Admission,
        channels: Mapping[str, Channel],
        desk: Desk,
    ) -> Self:
        """The entrance to these channels."""
        pairing = Pairing(database)
        errands = Errands()
        kinds: dict[str, Kind] = {}
        listener = desk.outlets.conversations.listener
        questions = Questions(Choices(database, kinds), admission, channels, listener, errands)
        ways = Ways(channels, Speaker(desk, admission), desk.limits.speech)
        strangers = Strangers(pairing, questions, admission, ways, errands)
        kinds[letting_in.KIND] = strangers.kind()
        return cls(admission, strangers, questions, errands)

    async def run(self) -> None:
        """Tell strangers, ask owners and show decisions, until cancelled."""
        await self._errands.run()

    async def let_in(self, envelope: Envelope) -> Envelope:
        """The same message, with the rights of whoever wrote it. Raises `NotAdmitted`."""
        who = Who.wrote(envelope)
        verdict, standing = await self.admission.look(who, envelope.tenant)
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
        counts = who.sender.machine and not self.admission.vouches(who.address.channel)
        return counts and not self._loops.hears(who.address, who.sender.id)


def _not_admitted(code: Code) -> NotAdmitted:
    return NotAdmitted(f"This sender is not let in here: {code}.", code=code.value)
