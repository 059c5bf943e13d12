"""An answer costs what it says, not what it unpacks to, and never more than a bound."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientPayloadError, web
from aiohttp.test_utils import TestServer
from discord import Intents
from discord.http import Route
from telegram.error import NetworkError
from yarl import URL

from channels.bounded import LARGEST_ANSWER, download
from channels.discord.line import _Client
from channels.discord.rest import Rest
from channels.discord.settings import DiscordSettings
from channels.http.bridge import Bridge
from channels.http.settings import HttpSettings
from channels.linear import queries
from channels.linear.api import Api
from channels.linear.settings import LinearSettings
from channels.telegram.account import Account
from channels.telegram.settings import TelegramSettings
from opencraw.errors import MaybeSent, Refused

GOOD = json.dumps({"ok": True, "result": [], "data": {"viewer": {"id": "me"}}}).encode()
PACKED = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
PLAIN = {"Content-Type": "application/json"}
HOSTILE = [
    pytest.param(gzip.compress(GOOD), PACKED, "compressed", id="compressed"),
    pytest.param(GOOD + b" " * LARGEST_ANSWER, PLAIN, "8,388,608 bytes", id="too large"),
]


@asynccontextmanager
async def answering(
    body: bytes, headers: Mapping[str, str]
) -> AsyncIterator[tuple[str, list[str]]]:
    """A platform that says this to everything; and which encodings it was asked for."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.headers.get("Accept-Encoding", ""))
        return web.Response(body=body, headers=headers)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(application) as server:
        yield str(server.make_url("")).rstrip("/"), asked


def telegram(url: str) -> Account:
    token = f"123456789:{'a' * 35}"
    return Account(TelegramSettings(enabled=True, bot_token=token, api_url=url))  # type: ignore[arg-type]


def linear(url: str) -> Api:
    return Api(LinearSettings(enabled=True, api_key="lin_api_x", graphql_url=url))  # type: ignore[arg-type]


async def test_telegram_is_asked_for_answers_that_are_what_they_seem() -> None:
    async with answering(GOOD, PLAIN) as (url, asked):
        assert await telegram(url).poll(0, 1, ("message",)) == []
        assert asked == ["identity"]


@pytest.mark.parametrize(("body", "headers", "said"), HOSTILE)
async def test_telegrams_answers_are_bounded(
    body: bytes, headers: Mapping[str, str], said: str
) -> None:
    async with answering(body, headers) as (url, _):
        with pytest.raises(NetworkError, match=said):
            await telegram(url).poll(0, 1, ("message",))


def discord(url: str) -> Rest:
    return Rest(DiscordSettings(enabled=True, bot_token="MTIz.a.b", api_url=url))  # type: ignore[arg-type]


async def test_discord_is_asked_for_answers_that_are_what_they_seem() -> None:
    async with answering(GOOD, PLAIN) as (url, asked):
        rest = discord(url)
        assert (await rest.call("GET", "/gateway/bot"))["ok"] is True
        await rest.close()
        assert set(asked) == {"identity"}


@pytest.mark.parametrize(("body", "headers", "said"), HOSTILE)
async def test_discords_answers_are_bounded(
    body: bytes, headers: Mapping[str, str], said: str
) -> None:
    async with answering(body, headers) as (url, _):
        with pytest.raises(ClientPayloadError, match=said):
            await discord(url).call("GET", "/gateway/bot")


async def test_what_discords_line_asks_for_is_bounded_too() -> None:
    async with answering(gzip.compress(GOOD), PACKED) as (url, asked):
        Route.BASE = url
        client = _Client(Intents.none(), lambda _: None)
        with pytest.raises(ClientPayloadError, match="compressed"):
            await client.login("MTIz.a.b")
        await client.http.close()
        assert asked == ["identity"]


@pytest.mark.parametrize(("body", "headers", "said"), HOSTILE)
async def test_files_are_bounded(body: bytes, headers: Mapping[str, str], said: str) -> None:
    async with answering(body, headers) as (url, asked):
        with pytest.raises(Refused, match=said):
            await download(URL(url), LARGEST_ANSWER, platform="It")
        assert asked == ["identity"]


async def test_a_file_that_is_somewhere_else_is_left_there() -> None:
    async def away(_: web.Request) -> web.Response:
        raise web.HTTPFound("http://127.0.0.1:1/secrets")

    application = web.Application()
    application.router.add_get("/", away)
    async with TestServer(application) as server:
        with pytest.raises(Refused, match="somewhere else"):
            await download(server.make_url("/"), 1_000, platform="It")


async def test_linear_is_asked_for_answers_that_are_what_they_seem() -> None:
    async with answering(GOOD, PLAIN) as (url, asked):
        assert await linear(f"{url}/graphql").ask(queries.VIEWER) == {"viewer": {"id": "me"}}
        assert asked == ["identity"]


@pytest.mark.parametrize(("body", "headers", "said"), HOSTILE)
async def test_linears_answers_are_bounded(
    body: bytes, headers: Mapping[str, str], said: str
) -> None:
    async with answering(body, headers) as (url, _):
        with pytest.raises(MaybeSent, match=said):
            await linear(f"{url}/graphql").ask(queries.VIEWER)


@pytest.mark.parametrize(("body", "headers", "said"), HOSTILE)
async def test_a_bridge_that_takes_a_message_with_too_many_words_has_taken_it(
    body: bytes, headers: Mapping[str, str], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with answering(body, headers) as (url, asked):
        bridge = Bridge(HttpSettings(enabled=True, secret="s" * 32, send_url=url))  # type: ignore[arg-type]
        assert await bridge.send({"text": "Hello."}, key="one") == ""
        assert asked == ["identity"]
    assert "is not read" in caplog.text
    assert said.replace("8,388,608", "65,536") in caplog.text
