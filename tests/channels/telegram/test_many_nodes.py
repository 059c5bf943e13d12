"""Two whole daemons, of which one has Telegram call the other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.channels.house import House, housed
from tests.channels.telegram.platform import CalledTelegramPlatform
from tests.fixtures.core import until

SLOWLY = "[[words 60]] [[delay 0.02]]"


@pytest.fixture
async def platform() -> AsyncIterator[CalledTelegramPlatform]:
    async with CalledTelegramPlatform() as platform:
        yield platform


@pytest.fixture
async def standby(
    platform: CalledTelegramPlatform, tmp_path: Path, database_url: str
) -> AsyncIterator[House]:
    """The house that Telegram calls, while another one receives."""
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder in folders:
        folder.mkdir()
    async with (
        housed(platform, folders[0], database_url) as one,
        housed(platform, folders[1], database_url) as other,
    ):
        await one.open()
        # From now on it is the other one that is called.
        await other.open()
        await other.becomes("standby")
        yield other
        assert (await one.channel())["state"] == "running"
        assert (await other.channel())["detail"] == "another node receives"


async def test_the_node_that_stands_by_takes_calls_and_whoever_answers_shows_it(
    platform: CalledTelegramPlatform, standby: House
) -> None:
    for number in range(1, 4):
        drawn = len(platform.drafts())
        await platform.says(SLOWLY)
        await until(lambda: len(platform.drafts()) > drawn + 1, "a draft that grows")  # noqa: B023
        await standby.at_rest()
        assert len(platform.shown()) == number


async def test_in_a_group_the_draft_of_an_answer_is_a_reply_to_its_question(
    platform: CalledTelegramPlatform, standby: House
) -> None:
    key = await platform.says(SLOWLY, chat="#den")
    await until(lambda: platform.shown("#den"), "a draft")
    [draft] = platform.server.sent("sendMessage")
    assert draft["reply_parameters"]["message_id"] == platform._said[key]["message"]["message_id"]
    await standby.at_rest()
    assert len(platform.shown("#den")) == 1
