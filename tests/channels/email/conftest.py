"""A mailbox in a real Dovecot, and the daemon that reads it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.channels.email.platform import EmailPlatform
from tests.channels.house import House, housed


@pytest.fixture
async def platform() -> AsyncIterator[EmailPlatform]:
    async with EmailPlatform() as platform:
        yield platform


@pytest.fixture
async def house(platform: EmailPlatform, tmp_path: Path, database_url: str) -> AsyncIterator[House]:
    async with housed(platform, tmp_path, database_url) as house:
        yield house
