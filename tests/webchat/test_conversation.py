from __future__ import annotations

import asyncio
import json
from uuid import UUID, uuid4

import pytest

from channels.webchat import conversation as module
from channels.webchat.conversation import Conversation
from opencraw.contract import Waiting
from opencraw.errors import Unavailable
from opencraw.events import DraftGrew, LinesAdded, QueueChanged, TurnEnded, TurnStarted
from tests.webchat.memory_gateway import MAIN, NOW, MemoryGateway
from tests.webchat.sockets import Socket, settle, talk


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


def test_a_resume_token_names_the_conversation_that_goes_on_there(gateway: MemoryGateway) -> None:
    """The lines of another one have other numbers."""

    async def html(_message: UUID, text: str, _by: float) -> str:
        return text

    tokens = []
    for number in (1, 1, 2):
        gateway.goes_on = UUID(int=number)
        tokens.append(Conversation(MAIN, gateway, html).resume_token)
    assert tokens[0] == tokens[1] != tokens[2]


@pytest.mark.parametrize(("model", "demo"), [("demo/assistant", True), ("openai/demo", False)])
async def test_the_demonstration_says_so(model: str, demo: bool, gateway: MemoryGateway) -> None:
    gateway.model_name = model
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


async def test_a_reply_does_not_overtake_one_that_a_hook_still_looks_at(
    conversation: Conversation, gateway: MemoryGateway
) -> None:
    """Another chat of the same conversation waits for it; the daemon hides both until then."""
    socket = await Socket(conversation).open()
    gateway.add(1)
    hidden, reply = gateway.add(2, "reply"), gateway.add(3, "reply")
    gateway.lines = gateway.lines[:1]
    await conversation.deliver(reply)
    gateway.lines += [hidden, reply]
    conversation.show(LinesAdded())
    await settle()
    assert socket.lines() == [1, 2, 3]


async def test_a_line_that_another_daemon_delivers_is_read_at_once(
    conversation: Conversation, gateway: MemoryGateway
) -> None:
    socket = await Socket(conversation).open()
    gateway.add(1, "reply")
    conversation.show(LinesAdded())
    await settle()
    assert socket.lines() == [1]


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

    async def note(message_id: UUID, text: str, by: float) -> str:
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
    conversation.show(TurnEnded(turn, 1, "done"))
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
