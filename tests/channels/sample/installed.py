"""The made-up channel, installed as a third party's is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from opencraw.config.channels import installed


@pytest.fixture(autouse=True)
def installed_sample(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The channel is there for these tests alone."""
    monkeypatch.syspath_prepend(Path(__file__).parent / "plugin")
    installed.cache_clear()
    yield
    installed.cache_clear()
