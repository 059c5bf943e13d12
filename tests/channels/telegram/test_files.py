from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from channels.telegram.channel import Telegram
from opencraw.contract import Attachment
from opencraw.errors import NotFound, Refused, Unavailable
from tests.channels.telegram.opened import settings
from tests.fakes.telegram import Fault, TelegramServer
from tests.fakes.telegram_chats import TOKEN


@pytest.fixture
async def server() -> AsyncIterator[TelegramServer]:
    async with TelegramServer() as server:
        server.chats.files["notes"] = b"x" * 200_000
        yield server
        assert not server.objections


@pytest.fixture
def telegram(server: TelegramServer) -> Telegram:
    return Telegram(settings(server))


NOTES = Attachment("notes.txt", "text/plain", "notes", 200_000)


async def test_a_file_is_fetched_by_what_the_message_said(telegram: Telegram) -> None:
    assert await telegram.fetch(NOTES, 1_000_000) == b"x" * 200_000


async def test_a_file_that_is_larger_than_it_claimed_is_refused_on_the_way(
    telegram: Telegram,
) -> None:
    with pytest.raises(Refused, match="larger than 100,000 bytes"):
        await telegram.fetch(NOTES, 100_000)


async def test_a_file_that_is_too_large_for_bots_is_refused_with_the_limit(
    server: TelegramServer, telegram: Telegram
) -> None:
    server.chats.files["notes"] = b"x" * 20_000_001
    with pytest.raises(Refused, match="20 MB"):
        await telegram.fetch(NOTES, 50_000_000)


async def test_a_file_that_is_gone_is_not_found(server: TelegramServer, telegram: Telegram) -> None:
    server.chats.files.clear()
    with pytest.raises(NotFound):
        await telegram.fetch(NOTES, 1_000_000)


async def test_a_file_that_lies_on_the_servers_own_disk_is_refused(
    server: TelegramServer, telegram: Telegram
) -> None:
    file = {"file_id": "notes", "file_unique_id": "notes", "file_path": "/etc/passwd"}
    server.faults = [Fault("getFile", 200, {"ok": True, "result": file})]
    with pytest.raises(Refused, match="only the Bot API server"):
        await telegram.fetch(NOTES, 1_000_000)


async def test_trouble_on_the_way_never_tells_the_token(
    server: TelegramServer, telegram: Telegram
) -> None:
    server.faults = [Fault("getFile", 500, {"ok": False, "description": "Internal Server Error"})]
    with pytest.raises(Unavailable):
        await telegram.fetch(NOTES, 1_000_000)
    server.downloads_fail = True
    with pytest.raises(Unavailable) as raised:
        await telegram.fetch(NOTES, 1_000_000)
    assert TOKEN not in str(raised.value)
    assert raised.value.__cause__ is None
