"""Every scenario starts the real daemon, and everything around it, as processes."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.scenarios.world import Model, World, running_model


@pytest.fixture
def passable_folder() -> Iterator[Path]:
    """A folder with a short path through which every user may pass."""
    folder = Path(tempfile.mkdtemp(prefix="oc-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
async def model(short_folder: Path) -> AsyncIterator[Model]:
    """One model server for all scenarios of this worker."""
    async with running_model(short_folder) as running:
        yield running


@pytest.fixture
async def world(passable_folder: Path, model: Model, database_url: str) -> AsyncIterator[World]:
    """A world whose daemons share a database of this test's own."""
    async with World(passable_folder, model, database_url) as made:
        yield made


@pytest.fixture
async def embedded_world(passable_folder: Path, model: Model) -> AsyncIterator[World]:
    """A world whose daemon runs its own Postgres, which the scenario may break."""
    async with World(passable_folder, model, None) as made:
        yield made
