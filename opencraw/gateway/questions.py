"""Questions with buttons: who may answer them, and what they say when they are answered.

What is asked about belongs to a kind of question (`opencraw.access.choices`). What all kinds share
is here: the person who pressed is looked at like whoever writes, one answer counts, and the
messages that asked say from then on what was decided.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
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
    Edits,
    Listener,
    Pick,
    Rights,
    Sender,
)
from opencraw.errors import DeliveryFailure, Forbidden, NotAdmitted, Refused
from opencraw.gateway.errands import Errands

log = logging.getLogger(__name__)


class Questions:
    """What owners are asked. Only they answer: so far nothing is asked that a guest may decide."""

    def __init__(
        self,
        choices: Choices,
        admission: Admission,
        channels: Mapping[str, Channel],
        listener: Callable[[Address], Listener | None],
        errands: Errands,
    ) -> None:
        """`listener` tells who is at an address, as its channel says."""
        self._choices = choices
        self._admission = admission
        self._channels = channels
        self._listener = listener
        self._errands = errands

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
        subject, decided = await self._choices.choose(pick.choice_id, pick.option, by)
        self._show_soon(subject)
        if not decided.now:
            raise Refused(decided.text, code="CONFLICT_ERROR")
        return decided.text

    async def settle(self, subject: UUID, decided: Decided) -> None:
        """Something was decided without a button."""
        await self._choices.settle(subject, decided)
        self._show_soon(subject)

    async def owner(self) -> Address | None:
        """The direct chat of somebody who is an owner now, the one that was used last; there they
        are asked."""
        for address, opened_by in await self._choices.direct_talks(list(self._channels)):
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

    def _show_soon(self, subject: UUID) -> None:
        self._errands.add("showing a decision", partial(self._show, subject))

    async def _show(self, subject: UUID) -> None:
        """Have the messages that asked say what was decided."""
        for shown in await self._choices.messages(subject):
            channel = self._channels.get(shown.address.channel)
            if not isinstance(channel, Edits):
                continue
            try:
                await channel.edit(shown.address, shown.platform_id, shown.text)
            except DeliveryFailure as failure:
                log.info("a question still shows its buttons: %s", failure)
