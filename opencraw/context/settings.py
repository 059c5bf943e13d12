"""The `[general]` and `[context]` sections."""

from __future__ import annotations

from pydantic import Field

from opencraw.settings import Section


class GeneralSettings(Section):
    """Who the assistant is."""

    system_prompt: str = ""
    """What the assistant is told about itself; empty means the built-in prompts/system.md."""


class ContextSettings(Section):
    """How much of a conversation a model is shown."""

    max_prompt_tokens: int = Field(default=8000, ge=500)
    """The window: older messages are left out when a prompt would be larger (an estimate)."""

    min_recent_messages: int = Field(default=8, gt=0)
    """So many of the newest messages are shown even when they exceed the window."""

    max_tool_chars: int = Field(default=4000, ge=100)
    """A longer tool result is cut in the middle before a model sees it."""

    tool_loops_max: int = Field(default=12, gt=0)
    """How many times one turn may go back to the model with tool results."""

    tool_max_runtime_seconds: float = Field(default=600, gt=0)
    """One tool call may take so long."""
