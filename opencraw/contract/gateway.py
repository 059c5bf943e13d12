"""What the daemon does for a channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from opencraw.contract.messages import (
    Address,
    Attachment,
    CommandHelp,
    Draft,
    Envelope,
    Line,
    Pick,
    Reaction,
    Receipt,
    TurnShown,
    Waiting,
)

#: A channel is told to come back rather than kept waiting for longer than this.
PATIENCE_SECONDS = 10.0


class Reader(Protocol):
    """Conversations as people see them, for a channel whose platform does not show them by
    itself."""

    async def history(
        self, address: Address, *, before: int | None = None, after: int = 0, limit: int = 100
    ) -> Sequence[Line]:
        """The newest `limit` lines with `after < seq < before`, oldest first."""
        ...

    async def waiting(self, address: Address) -> Sequence[Waiting]:
        """Accepted messages that no turn has taken up yet, in order."""
        ...

    async def withdraw(self, address: Address, message_id: UUID) -> bool:
        """Take a waiting message back. False when a turn has it already or nobody knows it."""
        ...

    def draft(self, address: Address) -> Draft | None:
        """The turn that runs for this address in this process, if any."""
        ...

    def conversation(self, address: Address) -> UUID:
        """The id of the conversation that goes on at this address. Several addresses may share one,
        and another one may go on here after a restart: the lines of each have their own numbers."""
        ...

    @property
    def model(self) -> str:
        """The configured model as `provider/model`."""
        ...


class Gateway(Protocol):
    """What the daemon does for a channel."""

    async def accept(self, envelope: Envelope) -> Receipt:
        """Return once the message is durable.

        Raises `Refused` for a message that will never be taken (`NotAdmitted` where its sender must
        not even be told) and `Unavailable` when the store does not answer in time; after the latter
        the same envelope may be offered again safely.
        """
        ...

    async def admits(self, envelope: Envelope) -> bool:
        """Whether `accept` would let its sender in. Ask before anything is fetched for a message
        that platforms hand out piece by piece; offer what was not fetched all the same."""
        ...

    async def awaits(self, envelope: Envelope) -> bool:
        """Whether `accept` would store this message and has not done so: ask before files are kept
        for it that come in the same breath, and offer it all the same. Raises what `accept` would
        raise, except for strangers."""
        ...

    async def tell(self, address: Address, text: str, *, reply_context: str = "") -> None:
        """Say something about a message that was refused; returns once it is durable."""
        ...

    async def keep(
        self, channel: str, name: str, content_type: str, data: bytes, *, read: bool = True
    ) -> Attachment:
        """Store a file that was handed to us, for an envelope of the same channel that follows
        within the hour. Documents are read at once, or not before the turn begins. Raises `Refused`
        for a file that is not taken, with words for its sender, and `SlowDown` and `Unavailable`
        for one that may be handed in again."""
        ...

    async def choose(self, pick: Pick) -> str:
        """Carry out what somebody chose; the text is for that person alone. Raises `Refused` for
        somebody who may not, for what was decided otherwise, and for what is over."""
        ...

    async def react(self, reaction: Reaction) -> bool:
        """Note what somebody thinks of a message of ours. False when nobody knows that message, or
        its sender is not let in."""
        ...

    async def amend(self, envelope: Envelope) -> bool:
        """Somebody edited the message with this `platform_id`: what waits says from now on what it
        says now. False when it was taken up already, or is not known: nothing happens."""
        ...

    async def retract(self, address: Address, platform_id: str, sender: str = "") -> bool:
        """A message was deleted on the platform: it is answered no more, if it still waits."""
        ...

    async def quarantine(self, channel: str, account: str, payload: str, problem: str) -> None:
        """Put aside an event that cannot be understood; the channel goes on with the next."""
        ...

    async def cursor(self, channel: str, account: str, name: str = "") -> str | None:
        """How far the channel has come in what its platform hands out, as it noted it."""
        ...

    async def move_cursor(self, channel: str, account: str, value: str, name: str = "") -> None:
        """Note how far the channel has come: everything up to there has been accepted."""
        ...

    async def draft_shown(self, turn_id: UUID, platform_id: str | None) -> None:
        """Note the message that shows a running turn, so that its end becomes that message even if
        this process does not live to see it. Note None before the first draft is put: whoever finds
        that knows that one may be there."""
        ...

    async def draft_of(self, turn_id: UUID) -> TurnShown:
        """The message that shows a turn, if an earlier attempt noted one, and what it answers."""
        ...

    @property
    def commands(self) -> Sequence[CommandHelp]:
        """The slash commands there are, in the order in which they are listed."""
        ...

    @property
    def reader(self) -> Reader:
        """The conversations, for whoever shows them."""
        ...
