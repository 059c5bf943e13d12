from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from channels.telegram.channel import Telegram
from channels.telegram.webhook import PATH
from opencraw.errors import Refused, SlowDown, Unavailable
from tests.channels.telegram.opened import Notes, attending, running, settings
from tests.fakes import telegram_people as people
from tests.fakes.serving import Service
from tests.fakes.telegram import SECRET_HEADER, TelegramServer
from tests.fakes.telegram_chats import BOT_ID
from tests.fixtures.core import until

SECRET = "only-telegram-knows-this"


@pytest.fixture
async def server() -> AsyncIterator[TelegramServer]:
    async with TelegramServer() as server:
        yield server
        assert not server.objections


class House(Service):
    """The daemon's HTTP server: its routes, and what becomes of errors there."""

    def __init__(self) -> None:
        super().__init__(0, None)
        self.app.middlewares.append(_answer)
        self.telegram: Telegram | None = None
        self.visits = 0
        self.app.router.add_route("*", "/{path:.*}", self._pass)

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        assert self.telegram is not None
        self.visits += 1
        for route in self.telegram.routes():
            assert route.public
            if (route.method, route.path) == (request.method, request.path):
                return await route.handler(request)
        raise web.HTTPNotFound


@web.middleware
async def _answer(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        response: web.StreamResponse = await handler(request)
    except (Refused, Unavailable) as error:
        return web.json_response({"message": str(error)}, status=error.status)
    return response


@asynccontextmanager
async def called(
    server: TelegramServer, notes: Notes | None = None, **more: object
) -> AsyncIterator[tuple[House, Notes, asyncio.Task[None]]]:
    """A daemon that Telegram knows where to call."""
    async with House() as house:
        chosen = {"webhook_url": house.url, "webhook_secret": SECRET, **more}
        house.telegram = Telegram(settings(server, **chosen))
        server.leads_to = house.url
        notes = notes or Notes()
        async with running(house.telegram, notes) as run:
            await until(lambda: server.webhook or run.done(), "Telegram knows whom to call")
            yield house, notes, run
            server.webhook = {}


async def test_what_telegram_calls_us_for_is_taken(server: TelegramServer) -> None:
    async with called(server) as (_, notes, _run):
        server.hand_out(people.message("hello"))
        await until(lambda: notes.texts == ["hello"])


async def test_a_call_is_answered_when_it_is_durable(server: TelegramServer) -> None:
    async with called(server) as (house, notes, _):
        notes.refusals = [Unavailable("the store is away", retry_after=0.3)]
        call = asyncio.create_task(_call(house.url, people.message("hello"), SECRET))
        await until(lambda: not notes.refusals)
        assert not call.done()
        assert await call == 200
        assert notes.texts == ["hello"]


@pytest.mark.parametrize("secret", ["", "wrong", SECRET.upper(), "s\u00e9cret", SECRET + "x"])
async def test_nobody_without_the_secret_is_heard(server: TelegramServer, secret: str) -> None:
    async with called(server) as (house, notes, _):
        assert await _call(house.url, people.message("obey"), secret) == 403
        assert not notes.accepted


async def test_guessing_the_secret_is_slowed_down_and_the_right_one_is_not(
    server: TelegramServer,
) -> None:
    async with called(server) as (house, notes, _):
        update = people.message("hello")
        answers = [await _call(house.url, update, f"guess {number}") for number in range(30)]
        assert answers.count(403) <= 10 + 1
        assert answers[-1] == SlowDown.status
        assert await _call(house.url, update, SECRET) == 200
        assert notes.texts == ["hello"]


@pytest.mark.parametrize("body", [b"", b"no json", b'{"update_id": "x"}', b"[" * 100_000])
async def test_what_nobody_understands_is_put_aside_and_not_sent_again(
    server: TelegramServer, body: bytes
) -> None:
    async with called(server) as (house, notes, _):
        assert await _post(house.url, body, SECRET) == 200
        assert len(notes.quarantined) == 1


async def test_an_album_whose_parts_come_in_calls_of_their_own_is_one_message(
    server: TelegramServer,
) -> None:
    async with called(server) as (_, notes, _run):
        for part in ("a", "b", "c"):
            server.hand_out(people.message(media_group_id="m1", **people.photo(part, 10)))
        await until(lambda: notes.accepted)
        [album] = notes.accepted
        assert [each.source for each in album.attachments] == ["a-10", "b-10", "c-10"]


async def test_a_chat_is_taken_in_the_order_of_its_calls(server: TelegramServer) -> None:
    async with called(server) as (house, notes, _):
        notes.refusals = [Unavailable("the store is away", retry_after=0.2)]
        async with asyncio.TaskGroup() as calls:
            for number in range(5):
                update = people.message(f"number {number}")
                calls.create_task(_call(house.url, update, SECRET))
                await until(lambda: house.visits > number)  # noqa: B023 - awaited at once
        assert notes.texts == [f"number {number}" for number in range(5)]


async def test_the_very_first_run_is_not_called_for_anything_old(server: TelegramServer) -> None:
    server.hand_out(people.message("a week old"))
    async with called(server) as (_, notes, _run):
        server.hand_out(people.message("new"))
        await until(lambda: notes.texts)
        assert notes.texts == ["new"]


async def test_a_run_that_is_cut_off_while_it_begins_has_nothing_dropped_by_the_next(
    server: TelegramServer,
) -> None:
    class Forgetful(Notes):
        async def move_cursor(self, channel: str, account: str, value: str, name: str = "") -> None:
            # Whoever dies here has not been here, so the next run drops what waits.
            assert not server.webhook, "Telegram calls, and what it calls for would be dropped"
            await super().move_cursor(channel, account, value, name)

    async with called(server, Forgetful()) as (_, notes, _run):
        server.hand_out(people.message("hello"))
        await until(lambda: notes.texts == ["hello"])


async def test_a_later_run_is_called_for_what_it_missed(server: TelegramServer) -> None:
    server.hand_out(people.message("said while nobody listened"))
    notes = Notes()
    notes.cursors[str(BOT_ID)] = "0"
    async with called(server, notes):
        await until(lambda: notes.texts == ["said while nobody listened"])


async def test_a_program_that_takes_the_calls_away_is_told_of(server: TelegramServer) -> None:
    async with called(server) as (_, _notes, run):
        server.webhook = {"url": "https://elsewhere.example/hook"}
        with pytest.raises(Unavailable, match=r"elsewhere.*Next: stop that program"):
            await run


async def test_a_line_that_is_answered_is_a_pulse(server: TelegramServer) -> None:
    async with called(server) as (house, _, _run):
        assert house.telegram is not None
        before = len(server.sent("getWebhookInfo"))
        await until(lambda: len(server.sent("getWebhookInfo")) >= before + 2)
        assert house.telegram.pulse.silence < 1.0


async def test_a_node_that_does_not_receive_takes_what_it_is_called_for(
    server: TelegramServer,
) -> None:
    async with called(server) as (_, notes, _run), House() as house:
        chosen = {"webhook_url": house.url, "webhook_secret": SECRET}
        house.telegram = Telegram(settings(server, **chosen))
        there = Notes()
        async with attending(house.telegram, there):
            server.leads_to = house.url
            server.hand_out(people.message("hello"))
            await until(lambda: there.texts == ["hello"])
        assert not notes.accepted
        assert len(server.sent("setWebhook")) == 1


async def test_what_telegram_calls_for_is_taken_while_it_is_asked_in_vain_where_it_calls(
    server: TelegramServer,
) -> None:
    async with called(server) as (house, notes, run):
        server.webhook = {"url": "https://elsewhere.example/hook"}
        with pytest.raises(Unavailable):
            await run
        assert await _call(house.url, people.message("hello"), SECRET) == 200
        assert notes.texts == ["hello"]


async def test_nobody_is_called_while_the_channel_does_not_run(server: TelegramServer) -> None:
    async with House() as house:
        chosen = {"webhook_url": house.url, "webhook_secret": SECRET}
        house.telegram = Telegram(settings(server, **chosen))
        assert await _call(house.url, people.message("hello"), SECRET) == 503


async def _call(url: str, update: dict[str, Any], secret: str) -> int:
    async with aiohttp.request(
        "POST", f"{url}{PATH}", json=update, headers={SECRET_HEADER: secret}
    ) as response:
        return response.status


async def _post(url: str, body: bytes, secret: str) -> int:
    headers = {SECRET_HEADER: secret, "Content-Type": "application/json"}
    async with aiohttp.request("POST", f"{url}{PATH}", data=body, headers=headers) as response:
        return response.status
