"""What the settings and a model's own window make of prompts: how much is shown, and its count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec

from opencraw.context.blocks import Compaction, Limits
from opencraw.context.files import PictureTokens
from opencraw.context.settings import ContextSettings, GeneralSettings
from opencraw.context.system import SystemPrompt
from opencraw.context.tokens import Counter, Tokens
from opencraw.model import ToolSpec

#: So many entries are read at most. Before there are so many in view, the marks move.
MOST_ENTRIES = 2_400
#: Of a model's own window, this part stays free: what is counted is not exact for every model.
SPARE = 1 / 20
#: A model with a small window is asked to sum up when its part of it is so full.
FULL = 3 / 4
_LEAST_TOKENS = 500


class Assembly:
    """How prompts are made, under one configuration. `rooms` says how many tokens some models take,
    beside their answers, and `pictures` which models see, and how their vendors count pictures."""

    def __init__(
        self,
        general: GeneralSettings,
        context: ContextSettings,
        *,
        system: SystemPrompt | None = None,
        tokens: Tokens | None = None,
        rooms: Mapping[str, int] | None = None,
        pictures: Mapping[str, PictureTokens] | None = None,
    ) -> None:
        #: What a turn's model is told before everything else.
        self.system = (system or SystemPrompt(general)).text
        self.tokens = tokens or Tokens()
        self._rooms = rooms or {}
        self._pictures = pictures or {}
        self._limits = Limits(
            max_prompt_tokens=context.max_prompt_tokens,
            min_recent_messages=context.min_recent_messages,
            max_tool_chars=context.max_tool_chars,
            compaction=Compaction(
                trigger_tokens=context.compaction_trigger_tokens,
                retain_messages=context.compaction_retain_messages,
                horizon=context.compaction_horizon,
            )
            if context.compaction_enabled
            else None,
        )
        #: So many characters of what leaves the prompts are kept word for word.
        self.flush_max_chars = context.compaction_flush_max_chars

    @property
    def longest_text(self) -> int:
        """No single text needs to be read beyond this: it would not fit anyway."""
        return self._limits.max_text_chars

    def count(self, label: str) -> Counter:
        """Counts the tokens of this model, as well as is known now."""
        return self.tokens.counter(label)

    def wrapping(self, label: str, system: str, specs: Sequence[ToolSpec]) -> int:
        """How many tokens every prompt has beside its messages."""
        count = self.count(label)
        return count(system) + sum(count(msgspec.json.encode(spec).decode()) for spec in specs)

    def limits(self, label: str, wrapping: int) -> Limits:
        """How much this model is shown of a conversation."""
        limits = replace(self._limits, pictures=self._pictures.get(label))
        room = self._rooms.get(label)
        if room is None:
            return limits
        most = max(int(room * (1 - SPARE)) - wrapping, _LEAST_TOKENS)
        if most >= limits.max_prompt_tokens:
            return limits
        compaction = limits.compaction
        if compaction is not None:
            trigger = min(compaction.trigger_tokens, int(most * FULL))
            compaction = replace(compaction, trigger_tokens=trigger)
        return replace(limits, max_prompt_tokens=most, compaction=compaction)
