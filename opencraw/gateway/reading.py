"""Conversations, for channels that show them by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from opencraw.contract import DEFAULT_TENANT, Address, Draft, Line, Waiting
from opencraw.events import QueueChanged
from opencraw.gateway.desk import Desk


class Reading:
    """See `opencraw.contract.Reader`."""

    def __init__(self, desk: Desk) -> None:
        self._inbox = desk.inbox
        self._sessions = desk.sessions
        self._lanes = desk.lanes
        self._models = desk.models
        self._outlets = desk.outlets

    @property
    def model(self) -> str:
        """The configured model."""
        return self._models.default

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
        return self._outlets.conversations.at(address, DEFAULT_TENANT).id
