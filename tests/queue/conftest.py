from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest

from opencraw.queue.inbox import Inbox
from opencraw.queue.turns import Turns
from opencraw.store.database import Database
from tests.faults.proxy import PostgresProxy, socket_folder


@pytest.fixture
def turns(database: Database) -> Turns:
    """The verbs, in the hands of a node of its own."""
    return Turns(database, uuid4())


@pytest.fixture
def inbox(database: Database) -> Inbox:
    """The verbs of messages that wait."""
    return Inbox(database)


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[PostgresProxy]:
    """A line to the database that can be cut."""
    with TemporaryDirectory(prefix="oc-", dir="/tmp") as folder:
        async with PostgresProxy(socket_folder(database_url), Path(folder)) as running:
            yield running


@pytest.fixture
async def unlucky(proxy: PostgresProxy, database_url: str) -> AsyncIterator[Database]:
    """The database, seen through `proxy`."""
    async with await Database.open(proxy.url_of(database_url)) as opened:
        yield opened
