"""What the people of a conversation chose for its queue."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from typing import Self

from opencraw.settings import DebounceWindow, Drop, Mode
from opencraw.store.database import Record


@dataclass(frozen=True, slots=True)
class QueueChoice:
    """Columns of the session; None follows the channel, then the configuration."""

    mode: Mode | None = None
    debounce_ms: int | None = None
    debounce_window: DebounceWindow | None = None
    cap: int | None = None
    drop: Drop | None = None

    @classmethod
    def of(cls, record: Record) -> Self:
        return cls(*(record[field.name] for field in fields(cls)))

    @property
    def columns(self) -> tuple[object, ...]:
        return astuple(self)
