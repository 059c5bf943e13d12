"""What the settings and a model's own window make of how much is shown."""

from __future__ import annotations

import pytest

from opencraw.context.assembly import SPARE, Assembly
from opencraw.context.settings import ContextSettings, GeneralSettings
from opencraw.model import ToolSpec

SETTINGS = ContextSettings(
    max_prompt_tokens=8_000, compaction_enabled=True, compaction_trigger_tokens=6_000
)
LOOK = ToolSpec("look", "Look at it.", {"type": "object", "properties": {}})


def assembly(room: int | None = None, context: ContextSettings = SETTINGS) -> Assembly:
    rooms = {} if room is None else {"openai/small": room}
    return Assembly(GeneralSettings(), context, rooms=rooms)


@pytest.mark.parametrize("room", [None, 9_000, 1_000_000])
def test_a_window_with_room_enough_changes_nothing(room: int | None) -> None:
    limits = assembly(room).limits("openai/small", wrapping=500)
    assert limits == assembly().limits("openai/other", wrapping=500)
    assert limits.max_prompt_tokens == 8_000
    assert limits.compaction is not None
    assert limits.compaction.trigger_tokens == 6_000


def test_a_small_window_holds_the_system_prompt_and_the_tools_too() -> None:
    limits = assembly(4_000).limits("openai/small", wrapping=800)
    assert limits.max_prompt_tokens == 4_000 * (1 - SPARE) - 800
    assert limits.compaction is not None
    assert limits.compaction.trigger_tokens == limits.max_prompt_tokens * 3 // 4


def test_a_window_without_any_room_shows_a_little_all_the_same() -> None:
    """The provider's refusal is clearer than anything that could be said here."""
    assert assembly(1_000).limits("openai/small", wrapping=5_000).max_prompt_tokens == 500


def test_conversations_are_summed_up_only_where_that_is_on() -> None:
    assert assembly(context=ContextSettings()).limits("openai/small", 0).compaction is None
    small = assembly(2_000, ContextSettings()).limits("openai/small", 0)
    assert (small.compaction, small.max_prompt_tokens < 2_000) == (None, True)


def test_tools_weigh_too() -> None:
    made = assembly()
    bare = made.wrapping("openai/small", "You are.", [])
    assert made.wrapping("openai/small", "You are.", [LOOK]) > bare > 0


def test_texts_are_read_as_far_as_any_model_is_shown_them() -> None:
    """A model with a small window reads with the others: what was read once is read for all."""
    assert assembly(1_000).longest_text == assembly().longest_text == 32_000
