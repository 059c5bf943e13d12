from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from opencraw.store.database import Database
from tests.store.proxy import Proxy, socket_folder


@pytest.fixture
def database_url(swept_database_url: str) -> str:
    """Nothing here changes the schema."""
    return swept_database_url


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[Proxy]:
    """A line to the database that can be cut."""
    with TemporaryDirectory(prefix="oc-", dir="/tmp") as folder:
        async with Proxy(Path(folder), socket_folder(database_url)) as running:
            yield running


@pytest.fixture
async def unlucky(proxy: Proxy, database_url: str) -> AsyncIterator[Database]:
    """The database, seen through `proxy`."""
    async with await Database.open(proxy.url_of(database_url)) as opened:
        yield opened
