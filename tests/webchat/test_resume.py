from __future__ import annotations

import asyncio
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from channels.webchat import conversation as module
from channels.webchat.conversation import Conversation
from opencraw.contract import Draft, Line
from opencraw.events import QueueChanged
from tests.webchat.memory_gateway import MemoryGateway
from tests.webchat.sockets import Socket, settle, talk


async def test_resume_replays_once(conversation: Conversation, gateway: MemoryGateway) -> None:
    for seq in range(1, 6):
        gateway.add(seq)
    socket = await Socket(conversation).open()
    gateway.add(6)
    await conversation.resume(socket.listener, 2)
    await conversation.resume(socket.listener, 2)
    conversation.show(QueueChanged())
    await settle()
    assert socket.lines() == [3, 4, 5, 6]
    assert [frame["seq"] for frame in socket.of("resumed")] == [5, 5]


async def test_resume_of_a_long_absence_is_complete_and_in_order(
    conversation: Conversation, gateway: MemoryGateway
) -> None:
    for seq in range(1, 3 * module.PAGE + 7):
        gateway.add(seq)
    socket = await Socket(conversation).open()
    await conversation.resume(socket.listener, 3)
    await settle()
    assert socket.lines() == list(range(4, 3 * module.PAGE + 7))


async def test_a_line_said_during_a_replay_comes_after_it(
    conversation: Conversation, gateway: MemoryGateway
) -> None:
    for seq in range(1, 2 * module.PAGE):
        gateway.add(seq)
    socket = await Socket(conversation).open()
    replay = asyncio.create_task(conversation.resume(socket.listener, 0))
    await asyncio.sleep(0)
    last = gateway.add(2 * module.PAGE, "reply")
    await conversation.deliver(last)
    assert not replay.done()
    await replay
    await settle()
    assert socket.lines() == list(range(1, 2 * module.PAGE + 1))


async def test_a_second_resume_goes_on_where_the_first_began(
    conversation: Conversation, gateway: MemoryGateway
) -> None:
    for seq in range(1, 6):
        gateway.add(seq)
    socket = await Socket(conversation).open()
    await conversation.deliver(gateway.add(6, "reply"))
    for last_seq in (6, 3, 1):
        await conversation.resume(socket.listener, last_seq)
    await settle()
    assert socket.lines() == [6, 4, 5, 2, 3]


async def test_resume_ends_with_the_draft_of_a_running_turn(
    conversation: Conversation, gateway: MemoryGateway
) -> None:
    gateway.running = Draft(UUID(int=5), 2, "so far")
    socket = await Socket(conversation).open()
    await conversation.resume(socket.listener, 0)
    await settle()
    typing, delta, resumed = socket.frames[1:]
    assert (typing["type"], typing["active"]) == ("typing", True)
    assert (delta["content"], delta["offset"], delta["attempt"]) == ("so far", 0, 2)
    assert resumed == {"type": "resumed", "seq": 0}


# Whatever happens, in whatever order.


class Client:
    """Follows docs/webchat.md: counts lines, comes back, resumes."""

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self.received: list[int] = []
        self.last_seq = 0
        self.socket: Socket | None = None
        self.read = 0

    async def connect(self) -> None:
        self.socket = await Socket(self.conversation).open()
        self.read = 0
        await self.conversation.resume(self.socket.listener, self.last_seq)

    def take(self) -> None:
        """Read what has come. Lines count once the replay is over."""
        assert self.socket is not None
        if self.socket.of("resumed"):
            new = self.socket.lines()[self.read :]
            self.read += len(new)
            self.received += new
            self.last_seq = max(self.received, default=0)

    def disconnect(self) -> None:
        if self.socket is not None:
            self.take()
            self.socket.close()
            self.socket = None


class Story:
    """What may happen to a conversation, and in which order nobody knows."""

    def __init__(self, conversation: Conversation, gateway: MemoryGateway) -> None:
        self.conversation = conversation
        self.gateway = gateway
        self.client = Client(conversation)
        self.seq = 0
        self.undelivered: list[Line] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def take(self, step: str) -> None:
        match step:
            case "said" | "reply":
                self.add(step)
            case "gap":
                self.seq += 1
            case "deliver":
                self.deliver()
            case "event":
                self.conversation.show(QueueChanged())
            case "connect" if self.client.socket is None:
                await self.client.connect()
            case "drop":
                self.client.disconnect()
            case "turn":
                await asyncio.sleep(0)
            case "run":
                await settle()

    def add(self, kind: str) -> None:
        self.seq += 1
        line = self.gateway.add(self.seq, kind)
        if kind == "reply":
            self.undelivered.append(line)

    def deliver(self) -> None:
        """The outbox may send in any order, and again after a doubt."""
        if self.undelivered:
            line = self.undelivered.pop()
            for _ in range(2):
                self.tasks.append(asyncio.create_task(self.conversation.deliver(line)))

    async def end(self) -> None:
        self.client.disconnect()
        await self.client.connect()
        self.conversation.show(QueueChanged())
        await asyncio.gather(*self.tasks)
        await settle()
        self.client.disconnect()


STEPS = st.lists(
    st.sampled_from(["said", "reply", "gap", "deliver", "event", "connect", "drop", "turn", "run"]),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_a_client_that_comes_and_goes_gets_every_line_once_and_in_order(steps: list[str]) -> None:
    asyncio.run(_come_and_go(steps))


async def _come_and_go(steps: list[str]) -> None:
    gateway = MemoryGateway()
    async with talk(gateway) as conversation:
        story = Story(conversation, gateway)
        for step in steps:
            await story.take(step)
        await story.end()
        assert story.client.received == [line.seq for line in gateway.lines]
