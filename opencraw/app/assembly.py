"""What prompts are put together from, as it is configured."""

from __future__ import annotations

from pathlib import Path

from opencraw.config import Configuration
from opencraw.context.assembly import Assembly
from opencraw.context.files import tokens_by
from opencraw.context.system import SystemPrompt
from opencraw.context.tokens import Tokens
from opencraw.context.workspace import Workspace


def open_assembly(configuration: Configuration, data_dir: Path, tokens: Tokens) -> Assembly:
    """How prompts are assembled here."""
    return Assembly(
        configuration.general,
        configuration.context,
        system=_system_prompt(configuration, data_dir),
        tokens=tokens,
        rooms=configuration.llm.rooms,
        pictures={
            label: tokens_by(provider) for label, provider in configuration.llm.seeing.items()
        },
    )


def _system_prompt(configuration: Configuration, data_dir: Path) -> SystemPrompt:
    folder = data_dir / Path(configuration.general.workspace).expanduser()
    # The tools that it speaks of must be there.
    offered = {"memory_search", "memory_save"}.isdisjoint(configuration.tools.deny)
    return SystemPrompt(
        configuration.general,
        Workspace(folder),
        memory=configuration.memory.enabled and offered,
    )
