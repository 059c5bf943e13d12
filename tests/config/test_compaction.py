"""Summing up needs a memory, and room."""

from __future__ import annotations

from pathlib import Path

import pytest

from opencraw.config import load
from opencraw.errors import ConfigInvalid

FILE = """\
[llm]
active_profile = "main"
[llm.profiles.main]
provider = "demo"
model = "assistant"
{profile}
[memory]
enabled = {memory}
[context]
compaction_enabled = {enabled}
{context}
"""


def problems(
    folder: Path,
    *,
    enabled: str = "true",
    memory: str = "true",
    context: str = "",
    profile: str = "",
) -> list[str]:
    """What is wrong, by the names of the keys."""
    path = folder / "config.toml"
    path.write_text(FILE.format(enabled=enabled, memory=memory, context=context, profile=profile))
    try:
        load(path, {})
    except ConfigInvalid as refusal:
        return [each.key for each in refusal.problems]
    return []


def test_it_is_taken_with_a_memory(tmp_path: Path) -> None:
    assert problems(tmp_path) == []


def test_without_a_memory_it_is_refused(tmp_path: Path) -> None:
    assert problems(tmp_path, memory="false") == ["context.compaction_enabled"]
    assert problems(tmp_path, memory="false", enabled="false") == []


def test_it_has_to_begin_before_the_window_is_full(tmp_path: Path) -> None:
    late = "max_prompt_tokens = 5000"
    assert problems(tmp_path, context=late) == ["context.compaction_trigger_tokens"]
    assert problems(tmp_path, context=late, enabled="false") == []
    assert problems(tmp_path, context=f"{late}\ncompaction_trigger_tokens = 5000") == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("compaction_trigger_tokens", "10"),
        ("compaction_retain_messages", "0"),
        ("compaction_horizon", '"soon"'),
        ("compaction_horizon", '"0d"'),
        ("compaction_flush_max_chars", "-1"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, key: str, value: str) -> None:
    assert problems(tmp_path, context=f"{key} = {value}") == [f"context.{key}"]


@pytest.mark.parametrize("horizon", ["12h", "30d", "8w"])
def test_a_horizon_is_a_number_and_a_unit(tmp_path: Path, horizon: str) -> None:
    assert problems(tmp_path, context=f'compaction_horizon = "{horizon}"') == []


def test_a_models_window_has_room_for_more_than_its_answer(tmp_path: Path) -> None:
    assert problems(tmp_path, profile="context_window = 4096") == ["llm.profiles.main"]
    assert problems(tmp_path, profile="context_window = 32768") == []
