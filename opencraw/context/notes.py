"""The short notes of prompts/notes.toml."""

from __future__ import annotations

from functools import cache

import tomli

from opencraw.resources import prompt


@cache
def _notes() -> dict[str, str]:
    return tomli.loads(prompt("notes.toml"))


def note(name: str, /, **values: object) -> str:
    """The note called `name`, with its places filled. Raises `KeyError` for an unknown name."""
    return _notes()[name].format(**values) if values else _notes()[name]
