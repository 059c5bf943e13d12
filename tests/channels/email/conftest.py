"""A mailbox in a real Dovecot."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.channels.email.platform import EmailPlatform


@pytest.fixture
async def platform() -> AsyncIterator[EmailPlatform]:
    async with EmailPlatform() as platform:
        yield platform
