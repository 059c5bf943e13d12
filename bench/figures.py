"""What every measure gives and takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from opencraw.store.embedded import EmbeddedPostgres
from opencraw.store.settings import DatabaseSettings

Figures = dict[str, float]


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of all values lie."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def postgres_of(folder: Path) -> EmbeddedPostgres:
    """A database server of the measure's own."""
    place = folder / "postgres-of-bench"
    place.mkdir()
    return EmbeddedPostgres(place, DatabaseSettings())
