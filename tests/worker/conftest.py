from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.faults.proxy import PostgresProxy, socket_folder


@pytest.fixture
def database_url(swept_database_url: str) -> str:
    """Nothing here changes the schema."""
    return swept_database_url


@pytest.fixture
async def line(database_url: str) -> AsyncIterator[PostgresProxy]:
    """A node's line to the database."""
    with TemporaryDirectory(prefix="oc-", dir="/tmp") as folder:
        async with PostgresProxy(socket_folder(database_url), Path(folder)) as proxy:
            yield proxy
