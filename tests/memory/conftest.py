from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from opencraw.memory.memory import Memory
from opencraw.store.database import Database
from opencraw.store.migrations import migrate


@pytest.fixture
async def changed_database_url(empty_database_url: str) -> str:
    """A migrated database whose schema a test may change."""
    await migrate(empty_database_url)
    return empty_database_url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with await Database.open(database_url) as opened:
        yield opened


@pytest.fixture
def memory(database: Database) -> Memory:
    """Memory without vectors."""
    return Memory(database)
