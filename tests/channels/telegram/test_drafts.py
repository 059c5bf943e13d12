"""A turn while it runs, and what is left of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from channels.telegram.channel import Telegram
from opencraw.contract import Address
from opencraw.events import DraftGrew, TurnEnded, TurnStarted
from tests.channels.telegram.opened import (
    ANN,
    DEN,
    Notes,
    Sent,
    attending,
    delivery,
    listening,
    settings,
)
from tests.fakes.telegram import TelegramServer
from tests.fixtures.core import until

GROUP = int(DEN.chat)
WORDS = "These are more than enough words to be shown. "


@pytest.fixture
async def server() -> AsyncIterator[TelegramServer]:
    async with TelegramServer() as server:
        yield server
        assert not server.objections


class Turn:
    """A turn that grows."""

    def __init__(self, telegram: Telegram, address: Address) -> None:
        self.id = uuid4()
        self._telegram = telegram
        self._address = address
        self._length = 0
        telegram.draft(address, TurnStarted(self.id, 1))

    def says(self, text: str) -> None:
        self._telegram.draft(self._address, DraftGrew(self.id, 1, self._length, text))
        self._length += len(text)

    def ends(self) -> None:
        self._telegram.draft(self._address, TurnEnded(self.id, 1, "done"))


async def shown_in_the_den(server: TelegramServer) -> str:
    await until(lambda: server.chats.shown.get(GROUP), "a draft")
    return str(server.chats.shown[GROUP][0].message_id)


async def test_in_a_direct_chat_the_draft_makes_room_for_the_answer(server: TelegramServer) -> None:
    async with listening(server) as (telegram, notes):
        turn = Turn(telegram, ANN)
        await until(lambda: server.chats.typed[7], "typing")
        turn.says(WORDS)
        await until(lambda: server.chats.drafts.get(7), "a draft")
        turn.ends()
        await telegram.send(delivery("All of it.", turn=turn.id), Sent())
        assert server.chats.texts(7) == ["All of it."]
        assert not notes.drafts


async def test_a_node_that_does_not_receive_shows_the_turns_that_run_there(
    server: TelegramServer,
) -> None:
    standby, notes = Telegram(settings(server)), Notes()
    async with listening(server), attending(standby, notes):
        turn = Turn(standby, DEN)
        turn.says(WORDS)
        number = await shown_in_the_den(server)
        await until(lambda: notes.drafts == {turn.id: number}, "the draft is on record")
        turn.ends()
        await standby.send(delivery("All of it.", DEN, turn=turn.id), Sent())
        assert server.chats.texts(GROUP) == ["All of it."]


async def test_in_a_group_the_draft_becomes_the_answer(server: TelegramServer) -> None:
    async with listening(server) as (telegram, notes):
        notes.asked = "3"
        turn = Turn(telegram, DEN)
        turn.says(WORDS)
        number = await shown_in_the_den(server)
        await until(lambda: notes.drafts == {turn.id: number}, "the draft is on record")
        turn.ends()
        sent = Sent()
        await telegram.send(delivery("All of it.", DEN, turn=turn.id, draft=number), sent)
        assert server.chats.texts(GROUP) == ["All of it."]
        assert sent.parts == [number]
        [put] = server.sent("sendMessage")
        assert put["reply_parameters"]["message_id"] == 3


async def test_nothing_is_drawn_over_an_answer(server: TelegramServer) -> None:
    async with listening(server) as (telegram, _):
        turn = Turn(telegram, DEN)
        turn.says(WORDS)
        number = await shown_in_the_den(server)
        await telegram.send(delivery("All of it.", DEN, turn=turn.id, draft=number), Sent())
        turn.says("And a word that comes too late. " * 10)
        other = Turn(telegram, ANN)
        other.says(WORDS)
        await until(lambda: server.chats.drafts.get(7), "drawing goes on elsewhere")
        assert server.chats.texts(GROUP) == ["All of it."]


async def test_a_second_attempt_takes_up_the_draft_of_the_first(server: TelegramServer) -> None:
    async with listening(server) as (telegram, notes):
        first = Turn(telegram, DEN)
        first.says(WORDS)
        number = await shown_in_the_den(server)
        await until(lambda: notes.drafts, "the draft is on record")
    async with listening(server) as (again, later):
        later.drafts = dict(notes.drafts)
        again.draft(DEN, TurnStarted(first.id, 2))
        again.draft(DEN, DraftGrew(first.id, 2, 0, "Once more, and with feeling. " * 3))
        await until(lambda: "Once more" in server.chats.texts(GROUP)[0], "the draft is taken up")
        assert len(server.chats.shown[GROUP]) == 1
        assert str(server.chats.shown[GROUP][0].message_id) == number


async def test_whoever_wants_no_drafts_sees_typing_and_the_answer(
    server: TelegramServer,
) -> None:
    async with listening(server, drafts=False) as (telegram, _):
        turn = Turn(telegram, ANN)
        turn.says(WORDS)
        await until(lambda: server.chats.typed[7], "typing")
        turn.ends()
        await telegram.send(delivery("All of it.", turn=turn.id), Sent())
        assert not server.chats.drafts
        assert server.chats.texts(7) == ["All of it."]


async def test_whoever_wants_no_typing_sees_drafts_alone(server: TelegramServer) -> None:
    async with listening(server, typing=False) as (telegram, _):
        Turn(telegram, ANN).says("So far")
        await until(lambda: server.chats.drafts, "a draft of few words, after a while")
        assert not server.chats.typed[7]


async def test_a_channel_that_is_over_shows_nothing(server: TelegramServer) -> None:
    async with listening(server) as (telegram, _):
        pass
    Turn(telegram, ANN).says(WORDS)
    await telegram.send(delivery("All of it.", turn=uuid4()), Sent())
    assert not server.chats.drafts
