"""Questions with buttons: who may answer them, and what they say when they are answered.

What is asked about belongs to a kind of question (`opencraw.access.choices`). What all kinds share
is here: the person who pressed is looked at like whoever writes, one answer counts, and the
messages that asked say from then on what was decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from opencraw.access.admission import Admission
from opencraw.access.choices import Choices, Decided
from opencraw.access.policy import Who
from opencraw.contract import (
    DEFAULT_TENANT,
    Address,
    Channel,
    ChatType,
    Choice,
    Pick,
    Rights,
    Sender,
)
from opencraw.errors import Forbidden, NotAdmitted, Refused
from opencraw.gateway.decisions import Decisions
from opencraw.gateway.desk import Desk


class Questions:
    """What owners are asked. Only they answer: so far nothing is asked that a guest may decide."""

    def __init__(
        self,
        choices: Choices,
        admission: Admission,
        channels: Mapping[str, Channel],
        desk: Desk,
        decisions: Decisions,
    ) -> None:
        self._choices = choices
        self._admission = admission
        self._channels = channels
        self._sessions = desk.sessions
        self._listener = desk.outlets.conversations.listener
        self._decisions = decisions

    async def is_posted(self, choice: UUID) -> bool:
        """Whether a message asks this already."""
        return await self._choices.is_posted(choice)

    async def ask(self, choice: Choice, kind: str, subject: UUID, seconds: float) -> None:
        """Put a question on record; whoever asks posts its message then."""
        await self._choices.ask(choice, kind, subject, seconds)

    async def choose(self, pick: Pick) -> str:
        """Carry out what somebody chose. Raises `Refused` for whoever is no owner, for what was
        decided otherwise, and for what is over."""
        rights = await self._admission.rights(Who.pressed(pick), DEFAULT_TENANT)
        if rights is None:
            raise NotAdmitted("Only an owner decides this.", code="FORBIDDEN")
        if rights is not Rights.OWNER:
            raise Forbidden("Only an owner decides this; ask one.", code="FORBIDDEN")
        by = f"{pick.address.channel}:{pick.sender.id}"
        decided = await self._choices.choose(pick.choice_id, pick.option, by)
        self._decisions.made()
        if not decided.now:
            raise Refused(decided.text, code="CONFLICT_ERROR")
        return decided.text

    async def settle(self, subject: UUID, decided: Decided) -> None:
        """Something was decided without a button."""
        await self._choices.settle(subject, decided)
        self._decisions.made()

    async def owner(self) -> Address | None:
        """The direct chat of somebody who is an owner now, the one that was used last; there they
        are asked."""
        for address, opened_by in await self._sessions.direct_talks(list(self._channels)):
            if await self._is_owner(address, opened_by):
                return address
        return None

    async def _is_owner(self, address: Address, opened_by: str) -> bool:
        if self._admission.vouches(address.channel):
            listener = self._listener(address)
            sender = listener.sender if listener is not None else None
            return sender is not None and sender.rights is Rights.OWNER
        who = Who(address, Sender(opened_by, "", Rights.GUEST), ChatType.DIRECT)
        return await self._admission.rights(who, DEFAULT_TENANT) is Rights.OWNER
