"""All that a channel may know.

A channel translates between a platform and four things: an `Envelope` that comes in, a `Delivery`
that goes out, the `Gateway` that it is given, and its own configuration section. Optional powers
are small protocols, found by `isinstance`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable
from uuid import UUID

import msgspec

from opencraw.events import Event

if TYPE_CHECKING:
    from aiohttp import web

    from opencraw.settings import Section

DEFAULT_TENANT = "default"


class Address(msgspec.Struct, frozen=True):
    """Where a conversation happens. All parts are the platform's stable ids, never names."""

    channel: str
    account: str
    chat: str
    thread: str = ""


class Rights(StrEnum):
    """What a sender may do. Envelopes of different rights never share a turn."""

    OWNER = "owner"
    GUEST = "guest"


class Sender(msgspec.Struct, frozen=True):
    """Who wrote. `id` is stable and decides; `name` is decoration."""

    id: str
    name: str
    rights: Rights


class Origin(StrEnum):
    """Which side of the product an envelope came from."""

    CHANNEL = "channel"
    API = "api"
    WEBHOOK = "webhook"
    CRON = "cron"
    TIMER = "timer"
    AUTOMATION = "automation"
    OPERATOR = "operator"


#: Sides on which people speak, and no machine for itself. Statements name them, too.
PEOPLE = frozenset({Origin.CHANNEL, Origin.API, Origin.OPERATOR})


class ChatType(StrEnum):
    """Who listens where a message was written."""

    DIRECT = "direct"
    GROUP = "group"
    CHANNEL = "channel"


class Listener(msgspec.Struct, frozen=True):
    """Who is at an address, as far as its channel can tell."""

    chat_type: ChatType
    #: Who writes there, if that is always the same person.
    sender: Sender | None = None


class Trigger(StrEnum):
    """What made an envelope."""

    MESSAGE = "message"
    COMMAND = "command"


class Envelope(msgspec.Struct, frozen=True):
    """One inbound message, in nobody's dialect.

    `dedupe_key` is the platform's own id of the event: the same key from the same channel and
    account is the same message, however often it arrives.
    """

    address: Address
    sender: Sender
    text: str
    dedupe_key: str
    correlation_id: UUID
    origin: Origin = Origin.CHANNEL
    trigger_type: Trigger = Trigger.MESSAGE
    tenant: str = DEFAULT_TENANT
    chat_type: ChatType = ChatType.DIRECT


class Receipt(msgspec.Struct, frozen=True):
    """The message is durable; a channel may now acknowledge it."""

    message_id: UUID
    #: The message had been accepted before; nothing new will happen.
    duplicate: bool
    #: The message is kept, and nobody answers it: the assistant may not speak there.
    muted: bool = False


class Line(msgspec.Struct, frozen=True):
    """One line of a conversation as people see it. `seq` grows by time within a session."""

    seq: int
    kind: Literal["said", "reply", "notice"]
    text: str
    at: datetime
    message_id: UUID
    turn_id: UUID | None = None
    #: Names of the tools that a reply used, in order.
    tools: tuple[str, ...] = ()
    #: The reply was cut short on purpose.
    interrupted: bool = False
    #: The dedupe key of what was said, by which a client recognises its own message.
    dedupe_key: str = ""


class Waiting(msgspec.Struct, frozen=True):
    """An accepted message that no turn has taken up yet."""

    message_id: UUID
    text: str
    at: datetime
    dedupe_key: str
    #: It gave up its place in a full lane; the next turn reads a summary of it.
    overflowed: bool = False


class Draft(msgspec.Struct, frozen=True):
    """A running turn as far as it has come."""

    turn_id: UUID
    attempt: int
    text: str


class Delivery(msgspec.Struct, frozen=True):
    """One outbound message. `delivery_id` is the same at every attempt: use it as the platform's
    idempotency key wherever there is one."""

    delivery_id: UUID
    address: Address
    line: Line
    #: An earlier attempt may have arrived; where the platform has no key, say so in the message.
    recovered: bool = False


class Gateway(Protocol):
    """What the daemon does for a channel."""

    async def accept(self, envelope: Envelope) -> Receipt:
        """Return once the message is durable.

        Raises `Refused` for a message that will never be taken and `Unavailable` when the store
        does not answer in time; after the latter the same envelope may be offered again safely.
        """
        ...

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


@runtime_checkable
class Channel(Protocol):
    """One account on one platform."""

    @property
    def idempotent(self) -> bool:
        """The platform (or we) drop a second copy with the same delivery id."""
        ...

    async def run(self, gateway: Gateway) -> None:
        """Receive until cancelled. Acknowledge to the platform only after `accept` returned."""
        ...

    async def send(self, delivery: Delivery) -> None:
        """Hand one message to the platform. Raises a `DeliveryFailure` and nothing else. Is cut off
        after two minutes, which counts as `MaybeSent`."""
        ...


@runtime_checkable
class Streams(Protocol):
    """A channel that can show a turn while it runs."""

    def show(self, address: Address, event: Event) -> None:
        """Take note of one event. Must return at once and may forget it."""
        ...


@runtime_checkable
class Reaches(Protocol):
    """A channel on which the daemon may speak first."""

    def address(self, recipient: str) -> Address:
        """Where `recipient` is reached. Raises `Refused` for somebody who cannot exist."""
        ...


@runtime_checkable
class Opens(Protocol):
    """A channel on which a conversation is begun by naming it."""

    def named(self, chat: str) -> Address:
        """Where the conversation called `chat` is. Raises `Refused` for what is no name."""
        ...


@runtime_checkable
class Knows(Protocol):
    """A channel that can tell who is at an address before anybody has written there."""

    def listener(self, address: Address) -> Listener | None:
        """Who is at `address`; None is not known. The same that envelopes from there will say."""
        ...


class Route(msgspec.Struct, frozen=True):
    """One address on the daemon's HTTP server. `public` routes need no credential."""

    method: str
    path: str
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    public: bool = False
    #: The scope that a credential needs for this route.
    scope: str = "control:write"


@runtime_checkable
class Webhook(Protocol):
    """A channel that is spoken to over the daemon's HTTP server."""

    def routes(self) -> Sequence[Route]:
        """The routes to mount. Host, Origin and credential are checked before a handler runs."""
        ...


class ChannelKind(msgspec.Struct, frozen=True):
    """How a channel registers: its settings, and how to open it. The name is its entry point's."""

    settings: type[Section]
    open: Callable[[Section], Channel]
    #: The platform hands its events to one process only: of several daemons one receives at a time,
    #: all of them send.
    one_receiver: bool = False
    #: The platform cuts what people paste into messages of this many characters.
    splits_at: int | None = None
