"""What every channel is tried with: its `platform`, which each folder names, and a daemon."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.channels.house import House, housed
from tests.channels.platform import Platform


@pytest.fixture
async def house(platform: Platform, tmp_path: Path, database_url: str) -> AsyncIterator[House]:
    """A daemon that listens to `platform`, and is not open yet."""
    async with housed(platform, tmp_path, database_url) as house:
        yield house


@pytest.fixture
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A channel that has ended is started again at once."""
    monkeypatch.setattr("opencraw.app.hosted.LONGEST_PAUSE", 0.1)
    monkeypatch.setattr("opencraw.app.hosted.FIRST_PAUSE", 0.1)
