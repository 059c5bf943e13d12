from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from channels.telegram.channel import Telegram
from opencraw.errors import AccountRefused, NotAdmitted, Refused, Unavailable
from tests.channels.telegram.opened import ANN, Notes, listening, running, settings
from tests.fakes import telegram_people as people
from tests.fakes.telegram import Fault, TelegramServer
from tests.fakes.telegram_chats import BOT_ID, Shown
from tests.fixtures.core import until

OURS = Shown(5, "which?", [], None, None, None)


@pytest.fixture
async def server() -> AsyncIterator[TelegramServer]:
    async with TelegramServer() as server:
        yield server
        assert not server.objections


async def test_nothing_is_confirmed_before_it_is_durable(server: TelegramServer) -> None:
    async with listening(server) as (_, notes):
        notes.refusals = [Unavailable("the store is away", retry_after=0.2)] * 2
        before = server.confirmed
        server.hand_out(people.message("hello"))
        await until(lambda: not notes.refusals, "the second offer")
        assert server.confirmed == before
        await until(lambda: server.confirmed > before, "the update is confirmed")
        assert notes.texts == ["hello"]


async def test_the_cursor_is_noted_before_telegram_hears_of_it(server: TelegramServer) -> None:
    async with listening(server) as (_, notes):
        number = server.hand_out(people.message("hello"))
        await until(lambda: server.confirmed >= number, "the update is confirmed")
        assert int(notes.cursors[str(BOT_ID)]) == number + 1


async def test_the_very_first_run_answers_nothing_old(server: TelegramServer) -> None:
    server.hand_out(people.message("a week old"))
    server.hand_out(people.message("an hour old"))
    async with listening(server) as (_, notes):
        server.hand_out(people.message("new"))
        await until(lambda: notes.texts)
        assert notes.texts == ["new"]


async def test_a_later_run_begins_where_the_last_one_was(server: TelegramServer) -> None:
    notes = Notes()
    number = server.hand_out(people.message("taken"))
    notes.cursors[str(BOT_ID)] = str(number + 1)
    server.hand_out(people.message("said while nobody listened"))
    async with running(Telegram(settings(server)), notes):
        await until(lambda: notes.texts)
    assert notes.texts == ["said while nobody listened"]


async def test_updates_whose_numbers_begin_anew_are_confirmed_like_all_others(
    server: TelegramServer,
) -> None:
    """After a week without any, Telegram chooses the next number anew, maybe a lower one."""
    async with listening(server) as (_, notes):
        high = server.hand_out({**people.message("a week ago"), "update_id": 900_000})
        await until(lambda: server.confirmed >= high, "the update is confirmed")
        server.begin_anew()
        for number in (7, 8):
            server.hand_out({**people.message(f"number {number}"), "update_id": number})
        await until(lambda: server.confirmed >= 8, "both are confirmed")
        assert notes.texts == ["a week ago", "number 7", "number 8"]
        assert notes.cursors[str(BOT_ID)] == "9"


async def test_an_album_arrives_as_one_however_it_is_handed_out(server: TelegramServer) -> None:
    async with listening(server) as (_, notes):
        for part in ("a", "b", "c"):
            update = people.message(media_group_id="m1", **people.photo(part, 10))
            server.hand_out(update)
            await asyncio.sleep(0)
        server.hand_out(people.message("and?"))
        await until(lambda: len(notes.accepted) == 2)
        album, after = notes.accepted
        assert [each.source for each in album.attachments] == ["a-10", "b-10", "c-10"]
        assert after.text == "and?"


async def test_an_event_that_nobody_understands_is_put_aside_and_confirmed(
    server: TelegramServer,
) -> None:
    async with listening(server) as (_, notes):
        broken = people.message("hello")
        broken["message"]["chat"] = "the one in the corner"
        server.hand_out(broken, check=False)
        server.hand_out({"message": "without a number"}, check=False)
        number = server.hand_out(people.message("next"))
        await until(lambda: server.confirmed >= number, "all is confirmed")
        assert notes.texts == ["next"]
        assert "the one in the corner" in notes.quarantined[0]


async def test_opening_a_chat_is_greeted_and_makes_no_turn(server: TelegramServer) -> None:
    async with listening(server) as (_, notes):
        server.hand_out(people.message("/start"))
        await until(lambda: notes.told)
        assert notes.told[0][0] == ANN
        assert not notes.accepted


async def test_a_stranger_who_opens_a_chat_is_left_to_the_door(server: TelegramServer) -> None:
    async with listening(server) as (_, notes):
        notes.strangers = {"7"}
        server.hand_out(people.message("/start"))
        await until(lambda: notes.accepted)
        assert not notes.told


async def test_a_stranger_is_confirmed_in_silence(server: TelegramServer) -> None:
    async with listening(server) as (_, notes):
        notes.refusals = [NotAdmitted("a stranger")]
        number = server.hand_out(people.message("let me in"))
        await until(lambda: server.confirmed >= number)
        assert not notes.told


async def test_edits_and_reactions_reach_the_gateway(server: TelegramServer) -> None:
    async with listening(server) as (_, notes):
        said = people.message("helo")
        server.hand_out(said)
        server.hand_out(people.edited(said, "hello"))
        server.hand_out(people.reacted(5, [], ["👍"]))
        await until(lambda: notes.reactions)
        assert [each.text for each in notes.amended] == ["hello"]
        assert notes.reactions[0].emoji == "👍"


async def test_a_pressed_button_is_acknowledged_with_what_came_of_it(
    server: TelegramServer,
) -> None:
    async with listening(server) as (_, notes):
        update = people.pressed(OURS, f"oc:yes:{'0' * 32}")
        query = update["callback_query"]["id"]
        server.chats.pressed.add(query)
        server.hand_out(update)
        await until(lambda: query in server.chats.answers)
        assert server.chats.answers[query] == "You chose yes."
        assert notes.picks[0].sender.id == "7"


async def test_a_pressed_button_is_acknowledged_even_if_it_is_refused(
    server: TelegramServer,
) -> None:
    async with listening(server) as (_, notes):
        notes.refusals = [Refused("That is for the owner.")]
        for data in (f"oc:yes:{'0' * 32}", "somebody else's"):
            update = people.pressed(OURS, data)
            server.chats.pressed.add(update["callback_query"]["id"])
            server.hand_out(update)
        await until(lambda: len(server.chats.answers) == 2)
        assert next(iter(server.chats.answers.values())) == "That is for the owner."
        assert all(call["show_alert"] for call in server.sent("answerCallbackQuery"))


async def test_an_acknowledgement_that_comes_too_late_harms_nothing(server: TelegramServer) -> None:
    async with listening(server) as (_, notes):
        server.hand_out(people.pressed(OURS, f"oc:yes:{'0' * 32}"))
        number = server.hand_out(people.message("next"))
        await until(lambda: server.confirmed >= number)
        assert len(notes.picks) == 1


async def test_commands_are_listed_once(server: TelegramServer) -> None:
    async with listening(server):
        pass
    assert server.chats.commands == [{"command": "stop", "description": "Stop it."}]
    async with listening(server):
        pass
    assert len(server.sent("setMyCommands")) == 1


async def test_a_revoked_token_is_a_refused_account_with_a_next_step(
    server: TelegramServer,
) -> None:
    server.revoked = True
    async with running(Telegram(settings(server)), Notes()) as run:
        with pytest.raises(AccountRefused, match="BotFather"):
            await run


async def test_a_token_that_is_revoked_while_we_poll_is_noticed(server: TelegramServer) -> None:
    telegram = Telegram(settings(server))
    async with running(telegram, Notes()) as run:
        await until(lambda: server.is_listened_to)
        server.revoked = True
        server.break_connections()
        with pytest.raises(AccountRefused):
            await run


async def test_a_page_that_is_no_answer_of_telegrams_is_no_verdict_on_the_token(
    server: TelegramServer,
) -> None:
    server.faults = [Fault("getMe", 404, "<html>Not here</html>")]
    async with running(Telegram(settings(server)), Notes()) as run:
        with pytest.raises(Unavailable):
            await run


async def test_a_second_program_that_polls_is_told_of(server: TelegramServer) -> None:
    conflict = {"ok": False, "error_code": 409, "description": "Conflict: terminated"}
    server.faults = [Fault("getUpdates", 409, conflict, times=2)]
    async with running(Telegram(settings(server)), Notes()) as run:
        with pytest.raises(Unavailable, match=r"another program.*Next: stop that program"):
            await run


async def test_trouble_that_passes_is_waited_for(server: TelegramServer) -> None:
    async with listening(server) as (_, notes):
        failure = {"ok": False, "error_code": 500, "description": "Internal Server Error"}
        limited = {**failure, "error_code": 429, "parameters": {"retry_after": 1}}
        server.faults = [
            Fault("getUpdates", 502, "<html>Bad Gateway</html>"),
            Fault("getUpdates", 429, limited),
            Fault("getUpdates"),
        ]
        await until(lambda: not server.faults, "all of it happens")
        server.hand_out(people.message("hello"))
        await until(lambda: notes.texts == ["hello"])


async def test_trouble_that_stays_ends_the_run_with_its_cause(server: TelegramServer) -> None:
    async with listening(server), running(Telegram(settings(server)), Notes()) as run:
        server.faults = [Fault("getUpdates", 500, "<html>no</html>", times=100)]
        with pytest.raises(Unavailable, match="does not answer as it should"):
            await run


async def test_only_a_poll_that_comes_back_is_a_pulse(server: TelegramServer) -> None:
    async with listening(server) as (telegram, _):
        await until(lambda: len(server.sent("getUpdates")) >= 3)
        assert telegram.pulse.silence < telegram.pulse.patience
        server.silent = True
        server.break_connections()
        await until(lambda: telegram.pulse.silence > telegram.pulse.patience, "the line is dead")


async def test_a_webhook_that_somebody_left_behind_is_taken_away(server: TelegramServer) -> None:
    server.webhook = {"url": "https://elsewhere.example"}
    telegram, notes = Telegram(settings(server)), Notes()
    async with running(telegram, notes):
        await until(lambda: server.listened, "the first poll")
    assert not server.webhook


async def test_ending_closes_all_connections(server: TelegramServer) -> None:
    async with listening(server) as (telegram, notes):
        assert await telegram.probe()
        server.hand_out(people.message("hello"))
        await until(lambda: notes.texts)
    assert telegram._account._request is None
