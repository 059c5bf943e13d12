"""What a channel is, and which powers it may have besides."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import msgspec

from opencraw.contract.gateway import Gateway
from opencraw.contract.messages import Address, Attachment, Delivery, Listener
from opencraw.events import Event

if TYPE_CHECKING:
    from aiohttp import web

    from opencraw.settings import Section

#: Tells that one more part of a delivery is on the platform, by its id there; returns when that is
#: durable. A part without an id there is told as an empty text.
PartSent = Callable[[str], Awaitable[None]]

#: Whatever a platform wishes, after so many seconds it is asked again.
LONGEST_WISH = 3600.0

#: Where platforms call: what lies below `/<channel>` there is that channel's.
CALLED_AT = "/api/v1/os/channels"


class Pulse:
    """When a platform was last heard: a poll that came back, a heartbeat that was answered. What we
    send to it never counts, because a dead line may take that for long."""

    def __init__(self, patience: float) -> None:
        """More than `patience` seconds of silence mean that the line is dead."""
        self.patience = patience
        self._heard_at = time.monotonic()

    def beat(self) -> None:
        """The platform was heard."""
        self._heard_at = time.monotonic()

    @property
    def silence(self) -> float:
        """For how many seconds it has not been heard."""
        return time.monotonic() - self._heard_at


class Power(StrEnum):
    """What a channel may do that no method tells. The words are those of the control API."""

    #: It shows an answer while that is written.
    DRAFTS = "supports_streaming_deltas"
    #: It shows that the assistant is at work.
    TYPING = "supports_typing_events"
    #: It hands in the emoji that people put to our messages.
    REACTIONS = "supports_reactions"


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

    async def send(self, delivery: Delivery, sent: PartSent) -> None:
        """Hand one message to the platform, and tell of each part when it is there. Raises a
        `DeliveryFailure` and nothing else. Is cut off after two minutes, which counts as
        `MaybeSent`: what a failure says is about the part that was not told of."""
        ...


@runtime_checkable
class Attends(Protocol):
    """A channel that has something to do on every node, also where another one receives: to show
    the turns that run there, to take what its platform calls in with."""

    async def attend(self, gateway: Gateway) -> None:
        """Do it until cancelled. Begins before `run`, and goes on while another node receives."""
        ...


@runtime_checkable
class Does(Protocol):
    """A channel that does more than to receive and to send."""

    @property
    def powers(self) -> frozenset[Power]:
        """What it does, with the settings that it has."""
        ...


@runtime_checkable
class Streams(Protocol):
    """A channel that can show a turn while it runs."""

    def show(self, address: Address, event: Event) -> None:
        """Take note of one event. Must return at once and may forget it."""
        ...


@runtime_checkable
class Drafts(Protocol):
    """A channel on which a turn is shown by a message that grows. Of several nodes the one that
    runs the turn shows it, unlike with `Streams`."""

    def draft(self, address: Address, event: Event) -> None:
        """Take note of one event. Must return at once and may forget it."""
        ...


@runtime_checkable
class Listens(Protocol):
    """A channel that can tell a quiet platform from a dead line."""

    @property
    def pulse(self) -> Pulse:
        """Beats whenever the platform is heard; silence for too long ends `run`. Whoever starts
        `run` beats it then, so that what was before counts for nothing."""
        ...


@runtime_checkable
class Probes(Protocol):
    """A channel that can ask its platform who we are."""

    async def probe(self) -> Mapping[str, str]:
        """What the platform says about our account: facts by their names. Raises `AccountRefused`
        and `Unavailable`."""
        ...


@runtime_checkable
class Fetches(Protocol):
    """A channel whose messages bring files that stay on the platform until somebody wants them."""

    async def fetch(self, attachment: Attachment, limit: int) -> bytes:
        """Its bytes, at most `limit`: raises `Refused` as soon as there are more, `NotFound` for
        what is gone, and `Unavailable`."""
        ...


@runtime_checkable
class Edits(Protocol):
    """A channel that can change what it has said."""

    async def edit(self, address: Address, platform_id: str, text: str) -> None:
        """Have a message say something else, without buttons. Raises a `DeliveryFailure`."""
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
    #: How many bytes of a file it takes, as application/octet-stream; 0 is none: bodies are JSON.
    largest_file: int = 0


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
