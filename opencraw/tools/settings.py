"""The `[tools]` section."""

from __future__ import annotations

from opencraw.settings import Section


class ToolsSettings(Section):
    """Which tools the assistant has."""

    allow: list[str] = ["current_time", "calculate"]
    """Names of the tools that a model may call; nothing else is offered."""

    deny: list[str] = []
    """Names that are never offered, whatever allows them."""
