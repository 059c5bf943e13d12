"""People edit and delete what they have said. That changes what waits, and nothing else: an answer
is not taken back because somebody changed the question."""

from __future__ import annotations

from opencraw.contract import Address, Envelope
from opencraw.events import QueueChanged
from opencraw.gateway import commands
from opencraw.gateway.bounds import LONGEST_TEXT
from opencraw.gateway.desk import Desk
from opencraw.gateway.screening import Screening, said_no


class SecondThoughts:
    """Changes messages that nobody answers yet."""

    def __init__(self, desk: Desk) -> None:
        self._inbox = desk.inbox
        self._lanes = desk.lanes
        self._screening = Screening(desk.limits.hooks)
        self._outlets = desk.outlets

    async def amend(self, envelope: Envelope) -> bool:
        """Have a message of the same sender say what this edit of it says. What could not have been
        said in the first place leaves it as it is. So does a command: it is obeyed when it is
        said."""
        text = envelope.text
        if not text.strip() or len(text) > LONGEST_TEXT or commands.is_command(text):
            return False
        here = self._outlets.conversations.at(envelope.address, envelope.tenant)
        async with self._screening.of(envelope, here.id) as verdict:
            if said_no(verdict) is not None or not await self._inbox.amend(envelope):
                return False
        self._outlets.show(envelope.address, QueueChanged())
        return True

    async def retract(self, address: Address, platform_id: str, sender: str) -> bool:
        """Take a message back that was deleted on its platform, by `sender` or by whoever may."""
        gone = await self._inbox.retract(address, platform_id, sender)
        if gone is None:
            return False
        session, place = gone
        if place == "waiting":
            self._lanes.withdrawn(session)
        self._outlets.show(address, QueueChanged())
        return True
