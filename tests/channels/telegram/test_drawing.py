from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from channels.markdown import telegram_parts
from channels.telegram.account import Account
from channels.telegram.drawing import EDIT_SECONDS, GROUP_SECONDS, Drawing
from channels.telegram.speaking import Speaking
from opencraw.contract import Address
from opencraw.errors import DeliveryFailure, NotSent
from tests.channels.telegram.opened import ANN, DEN, settings
from tests.fakes.telegram import Fault, TelegramServer
from tests.fakes.telegram_chats import BOT_ID, Json

GROUP = int(DEN.chat)
LIMITED: Json = {
    "ok": False, "error_code": 429, "description": "Too Many Requests: retry after 5",
    "parameters": {"retry_after": 5},
}  # fmt: skip


@pytest.fixture
async def server() -> AsyncIterator[TelegramServer]:
    async with TelegramServer() as server:
        yield server
        assert not server.objections


@pytest.fixture
def drawing(server: TelegramServer) -> Drawing:
    account = Account(settings(server))
    return Drawing(account, Speaking(account, settings(server)), 0.8, 4000)


async def test_a_direct_chat_sees_telegrams_own_drafts_and_no_message(
    server: TelegramServer, drawing: Drawing
) -> None:
    canvas = drawing.surface(ANN)
    assert await canvas.put("so **far**", "") == ""
    assert await canvas.put("so far, so good", "") == ""
    assert [each.text for each in server.chats.drafts[7]] == ["so far", "so far, so good"]
    assert not server.chats.texts(7)
    first, second = server.sent("sendMessageDraft")
    assert first["draft_id"] == second["draft_id"] != 0
    assert first["entities"][0]["type"] == "bold"


async def test_a_group_sees_a_message_that_grows(server: TelegramServer, drawing: Drawing) -> None:
    canvas = drawing.surface(DEN)
    number = await canvas.put("so far", "3")
    await canvas.change(number, "so far, so good")
    assert server.chats.texts(GROUP) == ["so far, so good"]
    assert server.sent("sendMessage")[0]["reply_parameters"]["message_id"] == 3


async def test_a_bot_that_may_not_draw_edits_instead_from_then_on(
    server: TelegramServer, drawing: Drawing
) -> None:
    server.chats.takes_drafts = False
    canvas = drawing.surface(ANN)
    number = await canvas.put("so far", "")
    await canvas.change(number, "so far, so good")
    assert server.chats.texts(7) == ["so far, so good"]
    await drawing.surface(ANN).put("another turn", "")
    assert len(server.sent("sendMessageDraft")) == 1


async def test_a_topic_sees_its_drafts_where_it_is(
    server: TelegramServer, drawing: Drawing
) -> None:
    topic = Address("telegram", str(BOT_ID), DEN.chat, "3")
    canvas = drawing.surface(topic)
    await canvas.put("so far", "")
    await canvas.type()
    assert server.sent("sendMessage")[0]["message_thread_id"] == 3
    assert server.sent("sendChatAction")[0]["message_thread_id"] == 3


async def test_of_a_draft_that_is_too_long_the_beginning_is_shown_as_of_its_answer(
    server: TelegramServer, drawing: Drawing
) -> None:
    text = "\n\n".join(f"Paragraph {number}." for number in range(1000))
    await drawing.surface(ANN).put(text, "")
    [draft] = server.chats.drafts[7]
    assert len(draft.text) <= 4000
    assert draft.text == telegram_parts(text, 4000)[0].text
    assert draft.text.startswith("Paragraph 0.")


async def test_a_draft_never_waits_for_its_turn(server: TelegramServer, drawing: Drawing) -> None:
    canvas = drawing.surface(DEN)
    number = await canvas.put("0", "")
    drawn = 0
    with suppress(NotSent):
        for drawn in range(1, 30):
            await canvas.change(number, str(drawn))
    assert drawn < 10


async def test_a_limit_that_a_draft_meets_holds_what_follows(
    server: TelegramServer, drawing: Drawing
) -> None:
    canvas = drawing.surface(DEN)
    number = await canvas.put("0", "")
    server.faults = [Fault("editMessageText", 429, LIMITED)]
    with pytest.raises(NotSent):
        await canvas.change(number, "1")
    assert not drawing.account.pace(DEN).ready()


async def test_typing_is_shown(server: TelegramServer, drawing: Drawing) -> None:
    await drawing.surface(ANN).type()
    assert server.chats.typed[7] == 1
    server.faults = [Fault("sendChatAction")]
    with pytest.raises(DeliveryFailure):
        await drawing.surface(ANN).type()


def test_groups_and_edits_are_slower(drawing: Drawing) -> None:
    assert drawing.interval(ANN) == 0.8
    assert drawing.interval(DEN) == GROUP_SECONDS
    drawing.native = False
    assert drawing.interval(ANN) == EDIT_SECONDS


def test_whoever_wants_no_previews_gets_none(server: TelegramServer) -> None:
    account = Account(settings(server))
    drawing = Drawing(account, Speaking(account, settings(server)), math.inf, 4000)
    assert drawing.interval(ANN) == drawing.interval(DEN) == math.inf
