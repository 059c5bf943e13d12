"""The `[general]` and `[context]` sections."""

from __future__ import annotations

from pydantic import Field

from opencraw.settings import Section


class GeneralSettings(Section):
    """Who the assistant is."""

    system_prompt: str = ""
    """What the assistant is told about itself; empty means the built-in prompts/system.md."""

    workspace: str = "workspace"
    """The folder of AGENTS.md, SOUL.md, USER.md and the like (docs/context.md), seen from runtime.data_dir."""  # noqa: E501 - one line of help


class ContextSettings(Section):
    """How much of a conversation a model is shown."""

    max_prompt_tokens: int = Field(default=8000, ge=500)
    """The window: older messages are left out when a conversation is larger. System prompt, workspace and tools come on top."""  # noqa: E501 - one line of help

    min_recent_messages: int = Field(default=8, gt=0)
    """So many of the newest messages are shown even when they exceed the window."""

    max_tool_chars: int = Field(default=4000, ge=100)
    """A longer tool result is cut in the middle before a model sees it."""

    tool_loops_max: int = Field(default=12, gt=0)
    """How many times one turn may go back to the model with tool results."""

    tool_max_runtime_seconds: float = Field(default=600, gt=0)
    """One tool call may take so long."""

    compaction_enabled: bool = False
    """Whether a long conversation is summed up instead of cut off; needs memory.enabled."""

    compaction_trigger_tokens: int = Field(default=6000, ge=500)
    """A conversation is summed up when what is shown of it is larger than this."""

    compaction_retain_messages: int = Field(default=12, gt=0)
    """So many of the newest messages stay as they are when the others are summed up; `/compact` may leave fewer."""  # noqa: E501 - one line of help

    compaction_horizon: str = Field(default="30d", pattern=r"^[1-9][0-9]{0,3}[hdw]$")
    """How far back a summary tells details, as in "12h", "30d" or "8w"; of older things it keeps what matters."""  # noqa: E501 - one line of help

    compaction_flush_max_chars: int = Field(default=16_000, ge=500)
    """So many characters of what is summed up go into memory word for word."""
