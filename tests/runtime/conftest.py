from __future__ import annotations

import pytest

from tests.runtime.playing import World


@pytest.fixture
def world() -> World:
    return World()
