"""The system prompt and the prompt, from what is known."""

from __future__ import annotations

from opencraw.context.settings import ContextSettings, GeneralSettings
from opencraw.context.window import Limits, Window, window
from opencraw.resources import prompt
from opencraw.sessions.transcript import Transcript

#: So many entries are read at most; a window is far smaller.
MOST_ENTRIES = 400


class Assembly:
    """Turns transcripts into windows, under one configuration."""

    def __init__(self, general: GeneralSettings, context: ContextSettings) -> None:
        self.system = (general.system_prompt or prompt("system.md")).strip()
        self._limits = Limits(
            max_prompt_tokens=context.max_prompt_tokens,
            min_recent_messages=context.min_recent_messages,
            max_tool_chars=context.max_tool_chars,
        )

    @property
    def longest_text(self) -> int:
        """No single text needs to be read beyond this: it would not fit anyway."""
        return self._limits.max_text_chars

    def window(self, transcript: Transcript) -> Window:
        """What a model is shown of a conversation."""
        return window(transcript.entries, self._limits)
