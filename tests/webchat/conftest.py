from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from channels.webchat.conversation import Conversation
from tests.webchat.browser import browser, visit
from tests.webchat.memory_gateway import MemoryGateway
from tests.webchat.sockets import talk

__all__ = ["browser", "visit"]


@pytest.fixture
async def gateway() -> MemoryGateway:
    return MemoryGateway()


@pytest.fixture
async def conversation(gateway: MemoryGateway) -> AsyncIterator[Conversation]:
    async with talk(gateway) as conversation:
        yield conversation
