from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from opencraw.store.binaries import copy_binaries, find_binaries
from opencraw.store.placement import Account, reachable
from opencraw.store.settings import DatabaseSettings
from tests.faults.proxy import PostgresProxy, socket_folder


@pytest.fixture
async def proxy(empty_database_url: str) -> AsyncIterator[PostgresProxy]:
    """A proxy before the server of `empty_database_url`."""
    with TemporaryDirectory(prefix="oc-", dir="/tmp") as folder:
        async with PostgresProxy(socket_folder(empty_database_url), Path(folder)) as running:
            yield running


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data directory with a short path, which other users may pass through."""
    path = Path(tempfile.mkdtemp(prefix="oc-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def for_everybody(short_folder: Path) -> DatabaseSettings:
    """Settings with programs that an ordinary user may run, wherever the tests are installed."""
    binaries = find_binaries()
    if os.geteuid() != 0 or reachable(binaries.folder.resolve(), Account(65534, 65534)):
        return DatabaseSettings()
    return DatabaseSettings(bin_dir=str(copy_binaries(binaries, short_folder).folder))
