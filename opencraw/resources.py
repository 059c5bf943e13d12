"""The words said to a model. They lie in `prompts/`, which a wheel carries inside the package."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path


@cache
def prompt(name: str) -> str:
    """The text of `prompts/<name>`; the name has its ending."""
    folder = files("opencraw") / "_prompts"
    if not folder.is_dir():  # this is a working tree
        folder = Path(__file__).parent.parent / "prompts"
    return (folder / name).read_text(encoding="utf-8")
