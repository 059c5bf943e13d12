"""The suite on channels that are broken on purpose: it notices each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.channels.conformance import Conformance, WithDrafts, WithKeys, WithoutKeys
from tests.channels.house import House, housed
from tests.channels.platform import Platform
from tests.channels.sample.installed import installed_sample
from tests.channels.sample.platform import KeyedSamplePlatform, SamplePlatform

__all__ = ["installed_sample"]

Story = Callable[[Platform, House], Awaitable[None]]


@asynccontextmanager
async def broken(
    mutant: str, folder: Path, url: str, *, keyed: bool = False
) -> AsyncIterator[tuple[SamplePlatform, House]]:
    """A house whose channel gets one thing wrong."""
    async with KeyedSamplePlatform() if keyed else SamplePlatform() as platform:
        platform.mutant = mutant
        async with housed(platform, folder, url) as house:
            yield platform, house


async def test_a_channel_that_acknowledges_early_is_noticed(
    tmp_path: Path, database_url: str
) -> None:
    async with broken("acknowledges early", tmp_path, database_url) as (platform, house):
        with pytest.raises(AssertionError, match="in vain"):
            await Conformance().test_a_daemon_that_is_killed_loses_nothing(
                platform, house, "accept_before_persist"
            )


async def test_a_channel_that_answers_itself_is_noticed(tmp_path: Path, database_url: str) -> None:
    async with broken("answers itself", tmp_path, database_url) as (platform, house):
        with pytest.raises(AssertionError):
            await Conformance().test_our_own_messages_are_not_answered(platform, house)


@pytest.mark.parametrize(
    ("keyed", "test"),
    [
        (True, WithKeys().test_a_lost_answer_costs_no_second_copy),
        (False, WithoutKeys().test_a_lost_answer_costs_at_most_one_second_copy_that_says_so),
    ],
)
async def test_a_channel_that_sends_again_without_a_word_is_noticed(
    tmp_path: Path, database_url: str, keyed: bool, test: Story
) -> None:
    mutant = "sends again without a word"
    async with broken(mutant, tmp_path, database_url, keyed=keyed) as (platform, house):
        with pytest.raises(AssertionError):
            await test(platform, house)


async def test_a_channel_that_forgets_its_draft_is_noticed(
    tmp_path: Path, database_url: str
) -> None:
    async with broken("forgets its draft", tmp_path, database_url) as (platform, house):
        with pytest.raises((AssertionError, ValueError)):
            await WithDrafts().test_a_draft_grows_at_the_platforms_pace_and_becomes_the_answer(
                platform, house
            )


async def test_a_channel_that_dies_of_what_it_does_not_understand_is_noticed(
    tmp_path: Path, database_url: str
) -> None:
    async with broken("understands everything", tmp_path, database_url) as (platform, house):
        test = Conformance().test_an_event_that_nobody_understands_is_put_aside
        with pytest.raises(AssertionError):
            await test(platform, house)
