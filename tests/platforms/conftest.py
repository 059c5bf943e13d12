from __future__ import annotations

import pytest


@pytest.fixture
def database_url(swept_database_url: str) -> str:
    """Nothing here changes the schema."""
    return swept_database_url
