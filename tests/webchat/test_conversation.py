from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import pytest
from aiohttp import WSMsgType
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.webchat import conversation as module
from channels.webchat.conversation import Conversation, Listener
from channels.webchat.outgoing import Outgoing
from opencraw.contract import Draft, Line, Waiting
from opencraw.errors import Unavailable
from opencraw.events import DraftGrew, QueueChanged, TurnEnded, TurnStarted
from tests.webchat.memory_gateway import MAIN, NOW, MemoryGateway


class Socket:
    """A socket that reads at once and remembers."""

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self.outgoing = Outgoing(conversation.snapshot)
        self.listener = Listener(self.outgoing)
        self.frames: list[dict[str, object]] = []
        self.writing = asyncio.create_task(self.outgoing.write_to(self._send))

    async def _send(self, frame: bytes, kind: WSMsgType) -> None:
        self.frames.append(json.loads(frame))

    async def open(self) -> Socket:
        await self.conversation.join(self.listener)
        return self

    def close(self) -> None:
        self.conversation.leave(self.listener)
        self.outgoing.end(1000)
        self.writing.cancel()

    def of(self, *types: str) -> list[dict[str, object]]:
        return [frame for frame in self.frames if frame["type"] in types]

    def lines(self) -> list[int]:
        return [int(str(frame["seq"])) for frame in self.of("said", "message")]


async def html(text: str) -> str:
    await asyncio.sleep(0)
    return text


async def settle() -> None:
    for _ in range(60):
        await asyncio.sleep(0)


@asynccontextmanager
async def talk(gateway: MemoryGateway) -> AsyncIterator[Conversation]:
    conversation = Conversation(MAIN, gateway, html)
    following = asyncio.create_task(conversation.follow())
    try:
        yield conversation
    finally:
        following.cancel()


@pytest.fixture
async def gateway() -> MemoryGateway:
    return MemoryGateway()


@pytest.fixture
async def conversation(gateway: MemoryGateway) -> AsyncIterator[Conversation]:
    async with talk(gateway) as conversation:
        yield conversation


async def test_a_socket_is_greeted_with_what_it_needs(
    conversation: Conversation, gateway: MemoryGateway
) -> None:
    gateway.add(7)
    gateway.queue = [Waiting(uuid4(), "later", NOW, "main:m-2")]
    socket = await Socket(conversation).open()
    await settle()
    (hello,) = socket.frames
    assert (hello["seq"], hello["chat"], hello["demo"]) == (7, "main", False)
    assert hello["waiting"] == [
        {
            "message_id": str(gateway.queue[0].message_id),
            "client_message_id": "m-2",
            "content": "later",
            "at": "2026-11-21T12:00:00Z",
        }
    ]


@pytest.mark.parametrize(("model", "demo"), [("demo/assistant", True), ("openai/demo", False)])
async def test_the_demonstration_says_so(model: str, demo: bool, gateway: MemoryGateway) -> None:
    gateway.model = model
    async with talk(gateway) as conversation:
        socket = await Socket(conversation).open()
        await settle()
        assert socket.frames[0]["demo"] is demo


async def test_a_reply_brings_the_lines_before_it(
    conversation: Conversation, gateway: MemoryGateway
) -> None:
    socket = await Socket(conversation).open()
    gateway.add(1)
    gateway.add(4)
    reply = gateway.add(6, "reply")
    await conversation.deliver(reply)
    await settle()
    assert socket.lines() == [1, 4, 6]


async def test_a_line_comes_once_by_whichever_road(
    conversation: Conversation, gateway: MemoryGateway
) -> None:
    socket = await Socket(conversation).open()
    gateway.add(1)
    reply = gateway.add(2, "reply")
    conversation.show(QueueChanged())
    await asyncio.gather(conversation.deliver(reply), conversation.deliver(reply))
    conversation.show(TurnStarted(uuid4(), 1))
    await settle()
    await conversation.deliver(reply)
    await settle()
    assert socket.lines() == [1, 2]


async def test_a_reply_sent_twice_is_rendered_once(gateway: MemoryGateway) -> None:
    rendered: list[str] = []

    async def note(text: str) -> str:
        rendered.append(text)
        return text

    conversation = Conversation(MAIN, gateway, note)
    await Socket(conversation).open()
    reply = gateway.add(1, "reply")
    await conversation.deliver(reply)
    await conversation.deliver(reply)
    assert rendered == ["reply 1"]


async def test_a_reply_sent_after_a_later_line_was_said_still_comes_before_it(
    conversation: Conversation, gateway: MemoryGateway
) -> None:
    socket = await Socket(conversation).open()
    reply = gateway.add(1, "reply")
    gateway.add(2)
    conversation.show(QueueChanged())
    await settle()
    await conversation.deliver(reply)
    await settle()
    assert socket.lines() == [1, 2]


async def test_a_reply_that_another_daemon_sends_is_found(
    conversation: Conversation, gateway: MemoryGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REPLY_PATIENCE_SECONDS", 0)
    socket = await Socket(conversation).open()
    turn = uuid4()
    gateway.add(1, "reply", turn=turn)
    conversation.show(TurnEnded(turn, "done"))
    await settle()
    assert socket.lines() == [1]


async def test_a_message_taken_up_is_not_also_waiting(
    conversation: Conversation, gateway: MemoryGateway
) -> None:
    socket = await Socket(conversation).open()
    line = gateway.add(1)
    gateway.queue = [
        Waiting(line.message_id, line.text, NOW, ""),
        Waiting(uuid4(), "next", NOW, ""),
    ]
    conversation.show(QueueChanged())
    await settle()
    assert [frame["type"] for frame in socket.frames[1:]] == ["said", "queue"]
    (queue,) = socket.of("queue")
    assert [message["content"] for message in queue["waiting"]] == ["next"]  # type: ignore[attr-defined]


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


async def test_history_holds_back_what_will_come_live(
    conversation: Conversation, gateway: MemoryGateway
) -> None:
    for seq in (1, 2, 3):
        gateway.add(seq)
    socket = await Socket(conversation).open()
    gateway.add(4)
    answer = json.loads(await conversation.history(socket.listener, None, 2))
    assert [line["seq"] for line in answer["messages"]] == [2, 3]
    assert answer["more"] is True
    answer = json.loads(await conversation.history(socket.listener, 2, 2))
    assert [line["seq"] for line in answer["messages"]] == [1]
    assert answer["more"] is False


async def test_history_is_bounded_in_size(
    conversation: Conversation, gateway: MemoryGateway
) -> None:
    for seq in range(1, 7):
        gateway.add(seq, text="x" * (module.HISTORY_LIMIT // 3))
    socket = await Socket(conversation).open()
    answer = json.loads(await conversation.history(socket.listener, None, 6))
    assert [line["seq"] for line in answer["messages"]] == [5, 6]
    assert answer["more"] is True


async def test_two_tabs_see_the_same(conversation: Conversation, gateway: MemoryGateway) -> None:
    tabs = [await Socket(conversation).open() for _ in range(2)]
    turn = uuid4()
    conversation.show(TurnStarted(turn, 1))
    conversation.show(DraftGrew(turn, 1, 0, "hi"))
    await conversation.deliver(gateway.add(1, "reply", turn=turn))
    await settle()
    assert tabs[0].frames == tabs[1].frames
    assert [frame["type"] for frame in tabs[0].frames] == ["hello", "typing", "delta", "message"]


async def test_events_are_announced_again_when_the_database_is_back(
    conversation: Conversation, gateway: MemoryGateway
) -> None:
    socket = await Socket(conversation).open()
    gateway.add(1)
    gateway.failure = Unavailable("away", retry_after=0.01)
    conversation.show(QueueChanged())
    await settle()
    assert socket.lines() == []
    gateway.failure = None
    async with asyncio.timeout(5):
        while not socket.lines():
            await asyncio.sleep(0.01)
    assert socket.lines() == [1]


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
