"""A draft of which nobody knows, as a bridge hears of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from aiohttp import web

from channels.http.channel import Shows, _Drafts
from channels.http.settings import HttpSettings
from channels.marks import RECOVERED
from opencraw.contract import Address, Delivery, Line
from tests.channels.http.platform import PolledBridge
from tests.fakes.serving import Service
from tests.fixtures.gateway import unheard

CHAT = Address("http", "", "c")


@pytest.fixture
async def platform() -> AsyncIterator[PolledBridge]:
    async with PolledBridge() as platform:
        yield platform
        assert not platform.bridge.objections


def channel(platform: PolledBridge, **more: object) -> Shows:
    given = {**platform.settings(), "enabled": True, **more}
    return Shows(HttpSettings.model_validate(given))


def answer(turn: UUID, *, recovered: bool = True) -> Delivery:
    line = Line(1, "reply", "Hello, and more.", datetime.now(UTC), uuid4())
    return Delivery(uuid4(), CHAT, line, recovered=recovered, draft=None, ends=turn)


@pytest.mark.parametrize("drawn", [True, False])
async def test_a_draft_of_which_nobody_knows_becomes_the_answer_by_its_key(
    platform: PolledBridge, drawn: bool
) -> None:
    shows, turn = channel(platform), uuid4()
    if drawn:
        await _Drafts(shows._bridge, shows._settings, CHAT).put(turn, "Hel", "")
    for _ in range(2):
        await shows.send(answer(turn), unheard)
    [shown] = platform.bridge.shown("c")
    assert shown.text == "Hello, and more."
    assert shown.body is not None


async def test_where_a_bridge_knows_no_keys_the_answer_says_that_it_may_be_a_second_copy(
    platform: PolledBridge,
) -> None:
    shows = channel(platform, idempotent=False)
    await shows.send(answer(uuid4()), unheard)
    [shown] = platform.bridge.shown("c")
    assert shown.text.startswith(RECOVERED)


async def test_a_bridge_that_refuses_drafts_gets_the_answer(platform: PolledBridge) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=404)

    service = Service(0, None)
    service.app.router.add_post("/stream", refuse)
    async with service:
        shows = channel(platform, stream_url=f"{service.url}/stream")
        await shows.send(answer(uuid4()), unheard)
    [shown] = platform.bridge.shown("c")
    assert shown.text == "Hello, and more."
