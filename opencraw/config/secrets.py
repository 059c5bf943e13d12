"""Finds what must never be seen in a configuration."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel, SecretStr


def secrets_of(section: BaseModel) -> Iterator[str]:
    """Every secret of a section and of those within it, so that logs can leave them out."""
    for name in type(section).model_fields:
        value = getattr(section, name)
        members = value if isinstance(value, list) else [value]
        for each in value.values() if isinstance(value, dict) else members:
            if isinstance(each, SecretStr):
                yield each.get_secret_value()
            elif isinstance(each, BaseModel):
                yield from secrets_of(each)
