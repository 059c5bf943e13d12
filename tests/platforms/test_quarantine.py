from __future__ import annotations

import logging

import pytest

from channels.receiving import understood
from opencraw.platforms import quarantine as module
from opencraw.platforms.quarantine import LONGEST_PAYLOAD, Quarantine
from opencraw.store.database import Database
from tests.fixtures.core import running


async def test_what_was_put_aside_is_shown_newest_first(database: Database) -> None:
    quarantine = Quarantine(database)
    for number in range(3):
        await quarantine.put_aside("telegram", "1", f'{{"id": {number}}}', "no chat")
    await quarantine.put_aside("discord", "", "other", "what is this")
    found = await quarantine.newest("telegram", 2)
    assert [(each.payload, each.problem, each.account) for each in found] == [
        ('{"id": 2}', "no chat", "1"),
        ('{"id": 1}', "no chat", "1"),
    ]


async def test_of_each_channel_only_the_newest_are_kept(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_KEPT", 3)
    quarantine = Quarantine(database)
    await quarantine.put_aside("discord", "", "untouched", "")
    for number in range(6):
        await quarantine.put_aside("telegram", "", str(number), "")
    assert [each.payload for each in await quarantine.newest("telegram", 10)] == ["5", "4", "3"]
    assert len(await quarantine.newest("discord", 10)) == 1


@pytest.mark.parametrize("payload", ["x" * 1_000_000, "nul \0 and half \ud800", ""])
async def test_anything_can_be_put_aside(database: Database, payload: str) -> None:
    quarantine = Quarantine(database)
    await quarantine.put_aside("telegram", "", payload, payload)
    [found] = await quarantine.newest("telegram", 10)
    assert len(found.payload) <= LONGEST_PAYLOAD


async def test_what_was_put_aside_is_told_once(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(database_url) as core:
        caplog.clear()
        assert await understood(core.gateway, "test", "", b"x", lambda: int("x")) is None
        [line] = [each for each in caplog.records if each.levelno >= logging.WARNING]
        assert "put aside: ValueError" in line.getMessage()
        [told] = core.opened.records.traffics.of("test").happenings()
        assert told.kind == "quarantined"


async def test_a_channel_puts_aside_what_it_does_not_understand_and_goes_on(
    database_url: str,
) -> None:
    async with running(database_url) as core:
        await core.gateway.quarantine("test", "account", "{", "not JSON")
        assert (await core.asked("hello")).text == "echo hello"
