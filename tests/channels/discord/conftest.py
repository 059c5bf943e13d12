"""Discord, as its fake is."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.channels.discord.platform import DiscordPlatform


@pytest.fixture
async def platform() -> AsyncIterator[DiscordPlatform]:
    async with DiscordPlatform() as platform:
        yield platform
