from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.store.proxy import Proxy, socket_folder


@pytest.fixture
async def proxy(empty_database_url: str) -> AsyncIterator[Proxy]:
    """A proxy before the server of `empty_database_url`."""
    with TemporaryDirectory(prefix="oc-", dir="/tmp") as folder:
        async with Proxy(Path(folder), socket_folder(empty_database_url)) as running:
            yield running
