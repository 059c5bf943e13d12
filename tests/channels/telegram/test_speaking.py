from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest
from telegram.error import RetryAfter

from channels.telegram import failures
from channels.telegram.channel import Telegram
from opencraw.contract import Address, Choice, Option
from opencraw.errors import DeliveryFailure, MaybeSent, NeverSendable, NotSent, Refused
from tests.channels.telegram.opened import ANN, DEN, Sent, delivery, settings
from tests.fakes.telegram import Fault, TelegramServer
from tests.fakes.telegram_chats import BOT_ID, NOWHERE, Json

LONG = "\n\n".join(f"Paragraph {number}. " + "word " * 60 for number in range(30))
LIMITED: Json = {
    "ok": False, "error_code": 429, "description": "Too Many Requests: retry after 3",
    "parameters": {"retry_after": 3},
}  # fmt: skip
BROKEN: Json = {"ok": False, "error_code": 500, "description": "Internal Server Error"}


@pytest.fixture
async def server() -> AsyncIterator[TelegramServer]:
    async with TelegramServer() as server:
        yield server
        assert not server.objections


@pytest.fixture
def telegram(server: TelegramServer) -> Telegram:
    return Telegram(settings(server))


async def failure(telegram: Telegram, text: str = "hello", to: Address = ANN) -> DeliveryFailure:
    with pytest.raises(DeliveryFailure) as raised:
        await telegram.send(delivery(text, to), Sent())
    return raised.value


async def test_an_answer_is_one_message_that_answers_the_asked_one(
    server: TelegramServer, telegram: Telegram
) -> None:
    sent = Sent()
    await telegram.send(delivery("**bold** words", reply_context="77"), sent)
    [message] = server.chats.shown[7]
    assert sent.parts == [str(message.message_id)]
    assert message.text == "bold words"
    assert message.entities == [{"type": "bold", "offset": 0, "length": 4}]
    [call] = server.sent("sendMessage")
    assert call["reply_parameters"] == {"message_id": 77, "allow_sending_without_reply": True}
    assert call["link_preview_options"] == {"is_disabled": True}
    assert "parse_mode" not in call


async def test_a_topic_is_answered_in_it(server: TelegramServer, telegram: Telegram) -> None:
    topic = Address("telegram", str(BOT_ID), DEN.chat, "3")
    await telegram.send(delivery("hello", topic), Sent())
    assert server.chats.shown[int(DEN.chat)][0].thread == 3


async def test_a_long_answer_arrives_in_parts_and_is_a_reply_once(
    server: TelegramServer, telegram: Telegram
) -> None:
    sent = Sent()
    await telegram.send(delivery(LONG, reply_context="77"), sent)
    shown = server.chats.shown[7]
    assert len(shown) > 1
    assert sent.parts == [str(each.message_id) for each in shown]
    assert [each.reply_to for each in shown] == [77] + [None] * (len(shown) - 1)
    words = " ".join(each.text for each in shown).split()
    assert words == LONG.split()


async def test_what_is_there_already_is_not_sent_again(
    server: TelegramServer, telegram: Telegram
) -> None:
    whole = Sent()
    await telegram.send(delivery(LONG), whole)
    all_texts = server.chats.texts(7)
    server.chats.shown.clear()
    rest = Sent()
    await telegram.send(delivery(LONG, parts=tuple(whole.parts[:1])), rest)
    assert server.chats.texts(7) == all_texts[1:]
    assert len(rest.parts) == len(all_texts) - 1


async def test_only_the_part_that_may_be_there_twice_says_so(
    server: TelegramServer, telegram: Telegram
) -> None:
    await telegram.send(delivery(LONG, parts=("1",), recovered=True), Sent())
    marked = ["may have arrived before" in text for text in server.chats.texts(7)]
    assert marked == [True] + [False] * (len(marked) - 1)


async def test_the_formatting_of_a_marked_copy_moves_with_its_text(
    server: TelegramServer, telegram: Telegram
) -> None:
    await telegram.send(delivery("**bold** words", recovered=True), Sent())
    [message] = server.chats.shown[7]
    [entity] = [each for each in message.entities if each["type"] == "bold"]
    assert message.text[entity["offset"] : entity["offset"] + entity["length"]] == "bold"


async def test_the_draft_becomes_the_answer(server: TelegramServer, telegram: Telegram) -> None:
    first = Sent()
    await telegram.send(delivery("so far", DEN), first)
    [draft] = first.parts
    sent = Sent()
    await telegram.send(delivery("so far, so good", DEN, draft=draft), sent)
    assert server.chats.texts(int(DEN.chat)) == ["so far, so good"]
    assert sent.parts == [draft]


async def test_a_draft_that_says_it_all_already_is_the_answer(
    server: TelegramServer, telegram: Telegram
) -> None:
    first = Sent()
    await telegram.send(delivery("done", DEN), first)
    sent = Sent()
    await telegram.send(delivery("done", DEN, draft=first.parts[0]), sent)
    assert server.chats.texts(int(DEN.chat)) == ["done"]
    assert sent.parts == first.parts


async def test_a_draft_that_somebody_deleted_costs_a_new_message(
    server: TelegramServer, telegram: Telegram
) -> None:
    sent = Sent()
    await telegram.send(delivery("done", DEN, draft="12345"), sent)
    assert server.chats.texts(int(DEN.chat)) == ["done"]
    assert sent.parts != ["12345"]


async def test_an_edit_whose_answer_is_lost_is_made_again_without_a_word(
    server: TelegramServer, telegram: Telegram
) -> None:
    first = Sent()
    await telegram.send(delivery("so far", DEN), first)
    server.faults = [Fault("editMessageText", taken=True)]
    with pytest.raises(NotSent):
        await telegram.send(delivery("all", DEN, draft=first.parts[0]), Sent())
    await telegram.send(delivery("all", DEN, draft=first.parts[0]), Sent())
    assert server.chats.texts(int(DEN.chat)) == ["all"]


async def test_a_limit_says_when_to_come_back(server: TelegramServer, telegram: Telegram) -> None:
    server.faults = [Fault("sendMessage", 429, LIMITED)]
    failed = await failure(telegram)
    assert isinstance(failed, NotSent)
    assert failed.retry_after == 3


@pytest.mark.parametrize(("body", "seconds"), [
    ({**LIMITED, "parameters": {"retry_after": 0}}, 1.0),
    ({**LIMITED, "parameters": {"retry_after": None}}, 1.0),
    ({**LIMITED, "parameters": {"retry_after": -5}}, 1.0),
    ({**LIMITED, "parameters": {"retry_after": "abc"}}, 1.0),
    ({**LIMITED, "parameters": {"retry_after": [1]}}, 1.0),
    ({**LIMITED, "parameters": {"retry_after": "2"}}, 2.0),
    ({**LIMITED, "parameters": {"retry_after": 1e9}}, 3600.0),
    ({**LIMITED, "parameters": {"retry_after": 1e18}}, 3600.0),
    ({**LIMITED, "parameters": {"retry_after": 10**400}}, 1.0),
    ({**LIMITED, "parameters": ["retry_after"]}, 1.0),
    ({"ok": False, "error_code": 429, "description": "Slow down"}, 1.0),
    ("<html>Too Many Requests</html>", 1.0),
    ("[" * 100_000, 1.0),
])  # fmt: skip
async def test_a_limit_is_one_whatever_it_says_of_a_pause(
    server: TelegramServer, telegram: Telegram, body: Json | str, seconds: float
) -> None:
    server.faults = [Fault("sendMessage", 429, body)]
    failed = await failure(telegram)
    assert isinstance(failed, NotSent)
    assert failed.retry_after == seconds
    assert telegram._account.pace(ANN)._short_of() <= seconds


async def test_a_limit_holds_its_chat_and_no_other(
    server: TelegramServer, telegram: Telegram
) -> None:
    limited = {**LIMITED, "parameters": {"retry_after": 1}}
    server.faults = [Fault("sendMessage", 429, limited, chat=7)]
    await failure(telegram)
    began = time.monotonic()
    await telegram.send(delivery("elsewhere", DEN), Sent())
    assert time.monotonic() - began < 0.9
    await telegram.send(delivery("here"), Sent())
    assert time.monotonic() - began > 0.9


def test_the_library_says_a_pause_in_two_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    assert failures.seconds(RetryAfter(timedelta(seconds=7))) == 7.0
    monkeypatch.setattr(RetryAfter, "retry_after", 7)
    assert failures.seconds(RetryAfter(7)) == 7.0


@pytest.mark.parametrize("fault", [
    Fault("sendMessage", taken=True),
    Fault("sendMessage", 500, BROKEN),
    Fault("sendMessage", 504, "<html>Gateway Time-out</html>", taken=True),
    Fault("sendMessage", 200, "<html>Hello</html>", taken=True),
])  # fmt: skip
async def test_what_breaks_after_the_request_left_is_unknown(
    server: TelegramServer, telegram: Telegram, fault: Fault
) -> None:
    server.faults = [fault]
    assert isinstance(await failure(telegram), MaybeSent)


@pytest.mark.parametrize("fault", [
    Fault("sendMessage", 502, {"ok": False, "error_code": 502, "description": "Bad Gateway"}),
    Fault("sendMessage", 502, "<html>Bad Gateway</html>"),
    Fault("sendMessage", 503, "<html>Come back later</html>"),
])  # fmt: skip
async def test_a_gateway_that_finds_nobody_behind_it_has_sent_nothing(
    server: TelegramServer, telegram: Telegram, fault: Fault
) -> None:
    server.faults = [fault]
    assert isinstance(await failure(telegram), NotSent)


async def test_what_never_left_is_not_sent(server: TelegramServer, telegram: Telegram) -> None:
    await server.close_down()
    assert isinstance(await failure(telegram), NotSent)


async def test_a_chat_that_is_no_more_or_wants_us_no_more_is_a_dead_letter(
    server: TelegramServer, telegram: Telegram
) -> None:
    server.chats.blocked = {7}
    assert isinstance(await failure(telegram), NeverSendable)
    nowhere = Address("telegram", str(BOT_ID), str(NOWHERE))
    assert isinstance(await failure(telegram, to=nowhere), NeverSendable)


async def test_a_revoked_token_is_no_verdict_on_the_message(
    server: TelegramServer, telegram: Telegram
) -> None:
    server.revoked = True
    assert isinstance(await failure(telegram), NotSent)


async def test_words_go_out_without_formatting_that_telegram_objects_to(
    server: TelegramServer, telegram: Telegram
) -> None:
    server.chats.refuses_entities = True
    await telegram.send(delivery("**bold** words"), Sent())
    [message] = server.chats.shown[7]
    assert (message.text, message.entities) == ("bold words", [])


async def test_a_group_that_became_a_supergroup_is_followed(
    server: TelegramServer, telegram: Telegram
) -> None:
    server.chats.moved = {-5: -1005}
    old = Address("telegram", str(BOT_ID), "-5")
    await telegram.send(delivery("one", old), Sent())
    await telegram.send(delivery("two", old), Sent())
    assert server.chats.texts(-1005) == ["one", "two"]
    assert len(server.sent("sendMessage")) == 3


async def test_buttons_stand_under_the_last_part(
    server: TelegramServer, telegram: Telegram
) -> None:
    choice = Choice(uuid4(), (Option("yes", "Yes"), Option("no", "No")))
    await telegram.send(delivery(LONG, choice=choice), Sent())
    shown = server.chats.shown[7]
    assert all(each.keyboard is None for each in shown[:-1])
    assert shown[-1].keyboard == {
        "inline_keyboard": [[
            {"text": "Yes", "callback_data": f"oc:yes:{choice.id.hex}"},
            {"text": "No", "callback_data": f"oc:no:{choice.id.hex}"},
        ]]
    }  # fmt: skip


async def test_an_edit_takes_the_buttons_away(server: TelegramServer, telegram: Telegram) -> None:
    choice = Choice(uuid4(), (Option("yes", "Yes"),))
    sent = Sent()
    await telegram.send(delivery("Shall I?", choice=choice), sent)
    await telegram.edit(ANN, sent.parts[0], "Shall I?\n\nStatus: approved")
    [message] = server.chats.shown[7]
    assert message.keyboard is None
    assert message.text.endswith("Status: approved")


async def test_a_person_is_written_to_once_in_a_second_after_a_burst(
    server: TelegramServer, telegram: Telegram
) -> None:
    began = time.monotonic()
    for number in range(4):
        await telegram.send(delivery(f"number {number}"), Sent())
    assert time.monotonic() - began > 0.8


@pytest.mark.parametrize("recipient", ["ann", "", "-", "7.5", "@ann"])
def test_chats_have_numbers(telegram: Telegram, recipient: str) -> None:
    assert telegram.address("7") == ANN
    assert telegram.address(DEN.chat) == DEN
    with pytest.raises(Refused):
        telegram.address(recipient)


async def test_nothing_stays_open_when_nothing_is_sent(
    server: TelegramServer, telegram: Telegram
) -> None:
    await telegram.send(delivery("hello"), Sent())
    assert telegram._account._request is None
