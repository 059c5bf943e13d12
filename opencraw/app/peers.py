"""What a node tells the others while it works, and what it does when they speak.

The door, the dispatcher and the outbox know nothing of other nodes. Each is given one of these in
place of its neighbour: it does what the neighbour does, and lets the others know. Nothing here is
needed for any promise; it only saves everybody a poll.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import UUID

from opencraw.app.channels import ChannelHost
from opencraw.bus.bus import Bus
from opencraw.bus.messages import Chosen, LetGo, Message, Peek, Shown, Spoken, Stopped
from opencraw.contract import Address, Delivery, Draft
from opencraw.events import DraftGrew, Event, LinesAdded, ToolShown, TurnEnded, TurnStarted
from opencraw.outbox.sender import Outbox
from opencraw.queue.nodes import Node
from opencraw.sessions.choice import QueueChoice
from opencraw.sessions.voice import Voice
from opencraw.worker.dispatcher import Dispatcher

_MOST_TURNS = 1_000
#: Whoever opens a page at another node sees the draft after so long.
PEEK_SECONDS = 0.1


class Peers:
    """The other nodes, as this one speaks to them."""

    def __init__(self, node: Node, bus: Bus, host: ChannelHost, outbox: Outbox) -> None:
        self._node = node
        self._bus = bus
        self._host = host
        self._outbox = outbox
        self._attempts = NewestAttempts()

    @property
    def there(self) -> bool:
        """Whether there are any. What costs something to say is not made for nobody."""
        return self._node.others > 0

    def tell(self, message: Message) -> None:
        """Say something to the others, if there are any."""
        if self.there:
            self._bus.publish(message)

    def show(self, address: Address, event: Event) -> None:
        """Show an event of a turn that runs here, and to sockets of other nodes."""
        if not self._attempts.is_over(event):
            self._host.show(address, event)
            self._host.draft(address, event)
            self._show_elsewhere(address, event)

    def deliver(self, delivery: Delivery) -> None:
        """Send what has just been committed; whoever shows this conversation elsewhere reads it."""
        self._outbox.post(delivery)
        self._show_elsewhere(delivery.address, LinesAdded())

    def let_go(self) -> None:
        """Have the others look for work that was ours."""
        self.tell(LetGo())

    def _show_elsewhere(self, address: Address, event: Event) -> None:
        if self.there and self._host.streams(address.channel):
            self._bus.publish(Shown(address, event))

    def listen(self, dispatcher: Dispatcher) -> None:
        """From now on, do what the others hint at."""
        drafts = _AskedDrafts(dispatcher, self._show_elsewhere)
        self._bus.on(Shown, self._shown)
        self._bus.on(Peek, drafts.peeked)
        self._bus.on(Spoken, lambda hint: _spoken(dispatcher, hint))
        self._bus.on(LetGo, lambda _: dispatcher.look_again())
        # These may come late, or from anybody: only the database knows what was asked for.
        self._bus.on(Stopped, lambda hint: _look_at(dispatcher, hint.session))
        self._bus.on(Chosen, lambda hint: _look_at(dispatcher, hint.session))

    def _shown(self, hint: Shown) -> None:
        if not self._attempts.is_over(hint.event):
            self._host.show(hint.address, hint.event)


def _look_at(dispatcher: Dispatcher, session: UUID) -> None:
    if dispatcher.works_on(session):
        dispatcher.look_again()


def _spoken(dispatcher: Dispatcher, hint: Spoken) -> None:
    here = dispatcher.works_on(hint.session)
    if here or (hint.needs_hands and dispatcher.sees_to(hint.session, hint.origin)):
        dispatcher.arrived(hint.session, hint.voice, hint.origin)


class _AskedDrafts:
    """Shows drafts from their start to those who ask. One answer serves all who ask until it is
    given, for drafts are long."""

    def __init__(self, dispatcher: Dispatcher, show: Callable[[Address, Event], None]) -> None:
        self._dispatcher = dispatcher
        self._show = show
        self._asked_for: set[UUID] = set()

    def peeked(self, hint: Peek) -> None:
        if hint.session in self._asked_for or self._dispatcher.running(hint.session) is None:
            return
        self._asked_for.add(hint.session)
        asyncio.get_running_loop().call_later(PEEK_SECONDS, self._answer, hint.session)

    def _answer(self, session: UUID) -> None:
        self._asked_for.discard(session)
        running = self._dispatcher.running(session)
        if running is not None:
            for event in _from_its_start(running.draft):
                self._show(running.turn.address, event)


class SharedLanes:
    """The lanes as the door sees them: our own dispatcher and, behind it, those of all others."""

    def __init__(self, dispatcher: Dispatcher, peers: Peers) -> None:
        self._dispatcher = dispatcher
        self._peers = peers

    def is_crowded(self, session: UUID) -> bool:
        return self._dispatcher.is_crowded(session)

    def refuses(self, session: UUID, channel: str, coming: int) -> int | None:
        return self._dispatcher.refuses(session, channel, coming)

    def arrived(self, session: UUID, voice: Voice, origin: str) -> None:
        self._dispatcher.arrived(session, voice, origin)
        self._tell_spoken(session, voice, origin)

    def repeated(self, session: UUID, voice: Voice, origin: str) -> None:
        self._dispatcher.repeated(session, voice, origin)
        self._tell_spoken(session, voice, origin)

    def _tell_spoken(self, session: UUID, voice: Voice, origin: str) -> None:
        if not self._peers.there:
            return
        needs_hands = not self._dispatcher.sees_to(session, origin)
        self._peers.tell(Spoken(session, voice, origin, needs_hands))

    def withdrawn(self, session: UUID) -> None:
        # Whoever runs this lane finds the message gone when it looks at it.
        self._dispatcher.withdrawn(session)

    def choice_changed(self, session: UUID, channel: str, choice: QueueChoice) -> None:
        self._dispatcher.choice_changed(session, channel, choice)
        self._peers.tell(Chosen(session))

    def stop(self, session: UUID) -> None:
        self._dispatcher.stop(session)
        self._peers.tell(Stopped(session))

    def draft(self, session: UUID, address: Address) -> Draft | None:
        """The draft of a turn that runs here. One that runs elsewhere comes soon, as events."""
        draft = self._dispatcher.draft(session, address)
        if draft is None:
            self._peers.tell(Peek(session))
        return draft


class NewestAttempts:
    """The newest attempt that was shown of each turn. A process that was paused and wakes up speaks
    of an older one until it notices, and what it says must not be shown over the newer text."""

    def __init__(self) -> None:
        self._newest: dict[UUID, int] = {}

    def is_over(self, event: Event) -> bool:
        """Whether a newer attempt than this event's has been shown."""
        if not isinstance(event, TurnStarted | DraftGrew | ToolShown | TurnEnded):
            return False
        newest = self._newest.get(event.turn_id, 0)
        if event.attempt > newest:
            self._newest[event.turn_id] = event.attempt
            if len(self._newest) > _MOST_TURNS:
                del self._newest[next(iter(self._newest))]
        return event.attempt < newest


def _from_its_start(draft: Draft) -> tuple[Event, ...]:
    return (
        TurnStarted(draft.turn_id, draft.attempt),
        DraftGrew(draft.turn_id, draft.attempt, 0, draft.text),
    )
