"""Choices over the socket: who asks is the gateway, who chooses is the owner."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from channels.webchat import frames
from channels.webchat.channel import WebChat
from opencraw.contract import Address, Choice, Option
from tests.webchat.memory_gateway import MemoryGateway, delivery

CHOICE = Choice(uuid4(), (Option("approve", "Let in"), Option("reject", "Reject")))


def test_a_line_that_asks_says_what_may_be_chosen() -> None:
    line = MemoryGateway().add(1, "notice", "May she come in?")
    asks = frames.encode(frames.spoken(replace(line, choice=CHOICE), "")).decode()
    assert f'"choice":{{"id":"{CHOICE.id}","options":[{{"name":"approve"' in asks
    assert "choice" not in frames.encode(frames.spoken(line, "")).decode()


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"choose","choice_id":"x","option":"approve"}',
        '{"type":"choose","choice_id":"6f70656e-6372-6177-8000-73657373696f"}',
        '{"type":"choose","choice_id":"6f70656e-6372-6177-8000-73657373696f","option":""}',
        '{"type":"choose","option":"approve"}',
    ],
)
def test_a_choice_that_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(frames.FrameRefused):
        frames.decode(text)


def test_a_choice_is_understood() -> None:
    name = "6f70656e-6372-6177-8000-73657373696f"
    frame = frames.decode(f'{{"type":"choose","choice_id":"{name}","option":"approve"}}')
    assert frame == frames.Choose(UUID(name), "approve")


async def test_only_what_asks_gets_a_name_by_which_it_is_changed() -> None:
    webchat = WebChat()
    told: list[str] = []

    async def sent(platform_id: str) -> None:
        told.append(platform_id)

    plain = delivery(MemoryGateway().add(1, "notice", "hello"))
    await webchat.send(plain, sent)
    assert told == []
    asks = replace(plain, choice=CHOICE)
    await webchat.send(asks, sent)
    assert told == [str(asks.delivery_id)]
    await webchat.edit(Address("webchat", "local", "main"), told[0], "decided")
