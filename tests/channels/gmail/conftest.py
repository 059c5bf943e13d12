"""A mailbox at Google's fake."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.channels.gmail.platform import GmailPlatform


@pytest.fixture
async def platform() -> AsyncIterator[GmailPlatform]:
    async with GmailPlatform() as platform:
        yield platform
