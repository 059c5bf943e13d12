"""What goes out as a hint, and what a hint brings about."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from opencraw.app.peers import NewestAttempts, Peers, SharedLanes
from opencraw.bus.bus import Bus
from opencraw.bus.messages import Chosen, LetGo, Message, Peek, Shown, Spoken, Stopped
from opencraw.contract import Address, Delivery, Line
from opencraw.events import (
    DraftGrew,
    Event,
    LinesAdded,
    QueueChanged,
    ToolShown,
    TurnEnded,
    TurnStarted,
)
from opencraw.sessions.choice import QueueChoice
from tests.fixtures.core import Core, address, running, session_of, until, voice
from tests.fixtures.hosts import host_of
from tests.fixtures.mailbox import Mailbox
from tests.fixtures.script import Held

HERE = address()
SPOKEN = (voice(), "channel")


class Wire(Bus):
    """The end of a bus that a test holds in its hand."""

    def __init__(self) -> None:
        super().__init__()
        self.published: list[Message] = []

    def publish(self, message: Message) -> None:
        self.published.append(message)

    def bring(self, message: Message) -> None:
        """Another node said so."""
        self._heard(message)


class Screen(Mailbox):
    """A channel that shows events."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[Event] = []
        #: What a message that grows would be made of.
        self.drawn: list[Event] = []

    def show(self, address: Address, event: Event) -> None:
        self.shown.append(event)

    def draft(self, address: Address, event: Event) -> None:
        self.drawn.append(event)


@dataclass
class Connected:
    """A core whose neighbours are on a wire."""

    core: Core
    wire: Wire
    peers: Peers
    lanes: SharedLanes
    screen: Screen


@asynccontextmanager
async def connected(url: str, *steps: Held, start: bool = False) -> AsyncIterator[Connected]:
    async with running(url, *steps, start=start) as core:
        wire, screen = Wire(), Screen()
        host = host_of(test=screen)
        core.node.others = 1
        peers = Peers(core.node, wire, host, core.outbox)
        peers.listen(core.dispatcher)
        yield Connected(core, wire, peers, SharedLanes(core.dispatcher, peers), screen)


@pytest.fixture
async def node(database_url: str) -> AsyncIterator[Connected]:
    """A node that begins nothing by itself."""
    async with connected(database_url) as made:
        yield made


async def test_a_node_with_room_asks_nobody_for_help(node: Connected) -> None:
    node.lanes.arrived(session_of(), *SPOKEN)
    assert node.wire.published == [Spoken(session_of(), *SPOKEN, needs_hands=False)]
    assert node.core.dispatcher.messages_waiting == 1


async def test_a_node_that_is_full_or_stopping_asks_for_hands(node: Connected) -> None:
    for chat in range(8):
        node.lanes.arrived(session_of(str(chat)), *SPOKEN)
    node.lanes.arrived(session_of("too many"), *SPOKEN)
    asked = [each.needs_hands for each in node.wire.published if isinstance(each, Spoken)]
    assert asked == [False] * 8 + [True]


async def test_a_node_that_stops_asks_for_hands(node: Connected) -> None:
    node.core.dispatcher.close()
    node.lanes.repeated(session_of(), *SPOKEN)
    assert node.wire.published == [Spoken(session_of(), *SPOKEN, needs_hands=True)]


@pytest.mark.parametrize("needs_hands", [True, False])
async def test_only_who_is_needed_looks_at_a_lane(node: Connected, needs_hands: bool) -> None:
    """All nodes at once would ask the database in vain."""
    node.wire.bring(Spoken(session_of(), *SPOKEN, needs_hands=needs_hands))
    assert node.core.dispatcher.messages_waiting == needs_hands


async def test_a_node_that_stops_takes_no_work_from_others(node: Connected) -> None:
    node.core.dispatcher.close()
    node.wire.bring(Spoken(session_of(), *SPOKEN, needs_hands=True))
    assert node.core.dispatcher.messages_waiting == 0


async def test_a_node_that_is_alone_tells_nobody(node: Connected) -> None:
    node.core.node.others = 0
    node.lanes.arrived(session_of(), *SPOKEN)
    node.lanes.stop(session_of())
    node.peers.show(HERE, QueueChanged())
    assert node.wire.published == []
    assert node.screen.shown == [QueueChanged()]


async def test_a_message_that_grows_is_drawn_by_the_node_that_runs_the_turn(
    node: Connected,
) -> None:
    """Everybody shows the turn in pages; two who edit one message would quarrel."""
    turn = uuid4()
    node.wire.bring(Shown(HERE, TurnStarted(turn, 1)))
    node.peers.show(HERE, DraftGrew(turn, 1, 0, "hello"))
    assert node.screen.shown == [TurnStarted(turn, 1), DraftGrew(turn, 1, 0, "hello")]
    assert node.screen.drawn == [DraftGrew(turn, 1, 0, "hello")]


async def test_what_people_decide_is_told(node: Connected) -> None:
    choice = QueueChoice(mode="collect")
    node.lanes.stop(session_of())
    node.lanes.choice_changed(session_of(), "test", choice)
    node.peers.let_go()
    assert node.wire.published == [
        Stopped(session_of()),
        Chosen(session_of()),
        LetGo(),
    ]


async def test_a_delivery_is_sent_here_and_announced_elsewhere(node: Connected) -> None:
    line = Line(1, "notice", "so it is", datetime.now(UTC), uuid4())
    node.core.node.others = 1
    node.peers.deliver(Delivery(line.message_id, HERE, line))
    assert node.wire.published == [Shown(HERE, LinesAdded())]
    assert line.message_id in node.core.outbox._held


async def test_whoever_looks_for_a_draft_that_is_elsewhere_asks_for_it(node: Connected) -> None:
    assert node.lanes.draft(session_of(), HERE) is None
    assert node.wire.published == [Peek(session_of())]


async def test_a_running_turn_shows_its_draft_to_who_peeks(database_url: str) -> None:
    held = Held("It begins", " and ends.")
    async with connected(database_url, held, start=True) as node:
        await node.core.say("hello")
        await until(lambda: (d := node.lanes.draft(session_of(), HERE)) and d.text)
        draft = node.lanes.draft(session_of(), HERE)
        assert draft is not None
        node.wire.published.clear()
        node.wire.bring(Peek(session_of("somebody else's")))
        for _ in range(1_000):
            node.wire.bring(Peek(session_of()))
        await until(lambda: len(node.wire.published) >= 2)
        assert node.wire.published == [
            Shown(HERE, TurnStarted(draft.turn_id, draft.attempt)),
            Shown(HERE, DraftGrew(draft.turn_id, draft.attempt, 0, draft.text)),
        ], "one answer for all who ask at once"
        node.wire.bring(Peek(session_of()))
        await until(lambda: len(node.wire.published) == 4, "who asks later is answered, too")
        held.release()
        await node.core.settled()


async def test_what_another_node_shows_is_shown_here_and_not_told_again(node: Connected) -> None:
    node.wire.bring(Shown(HERE, LinesAdded()))
    assert node.screen.shown == [LinesAdded()]
    assert node.wire.published == []


async def test_channels_without_a_screen_are_spared(node: Connected) -> None:
    node.peers.show(Address("letters", "", ""), QueueChanged())
    assert node.wire.published == []


async def test_an_older_attempt_is_not_shown_over_a_newer_one(node: Connected) -> None:
    turn = uuid4()
    node.wire.bring(Shown(HERE, TurnStarted(turn, 2)))
    before = list(node.screen.shown)
    for late in (
        DraftGrew(turn, 1, 0, "late"),
        ToolShown(turn, 1, "call", "calculate", "cancelled", ""),
        TurnEnded(turn, 1, "failed"),
    ):
        node.peers.show(HERE, late)
        node.wire.bring(Shown(HERE, late))
    assert node.screen.shown == before
    assert node.wire.published == []
    node.wire.bring(Shown(HERE, TurnEnded(turn, 2, "done")))
    assert node.screen.shown[-1] == TurnEnded(turn, 2, "done")


def test_attempts_of_long_ago_are_forgotten() -> None:
    attempts, first = NewestAttempts(), uuid4()
    assert not attempts.is_over(TurnStarted(first, 2))
    for _ in range(1_000):
        assert not attempts.is_over(TurnStarted(uuid4(), 1))
    assert not attempts.is_over(TurnStarted(first, 1))
