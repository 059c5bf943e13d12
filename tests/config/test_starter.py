"""The first configuration file answers at once, and says why it names the model it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from opencraw.config import load
from opencraw.config.starter import VENDORS, choose, starter

KEYS = {"ANTHROPIC_API_KEY": "sk-hunter2", "OPENAI_API_KEY": "sk-hunter3"}


@pytest.mark.parametrize(
    ("names", "provider"),
    [
        ([], "demo"),
        (["OPENAI_API_KEY"], "openai"),
        (["ANTHROPIC_API_KEY"], "anthropic"),
        (["ANTHROPIC_API_KEY", "OPENAI_API_KEY"], "anthropic"),
    ],
)
def test_it_loads_and_names_the_model_of_the_key_at_hand(
    tmp_path: Path, names: list[str], provider: str
) -> None:
    environ = {name: KEYS[name] for name in names}
    path = tmp_path / "config.toml"
    path.write_text(starter(environ))
    llm = load(path, environ).configuration.llm
    choice = choose(environ)
    assert llm.profiles[llm.active_profile].label == f"{choice.provider}/{choice.model}"
    assert choice.provider == provider


@pytest.mark.parametrize("environ", [{}, KEYS])
def test_it_is_short_explains_itself_and_holds_no_secret(environ: dict[str, str]) -> None:
    text = starter(environ)
    assert text.count("\n") < 24
    assert max(map(len, text.splitlines())) <= 100
    assert "hunter" not in text
    assert "ANTHROPIC_API_KEY" in text


def test_who_starts_anew_is_remembered_and_summed_up(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(starter({}))
    configuration = load(path, {}).configuration
    assert configuration.memory.enabled
    assert configuration.context.compaction_enabled


def test_an_empty_key_is_no_key() -> None:
    assert choose(dict.fromkeys(VENDORS, "")).provider == "demo"


def test_the_vendors_know_the_models_by_these_names() -> None:
    from typing import get_args

    from anthropic.types.model import Model
    from openai.types.shared.chat_model import ChatModel

    anthropic = {name for part in get_args(Model) for name in get_args(part)}
    assert VENDORS["ANTHROPIC_API_KEY"][1] in anthropic
    assert VENDORS["OPENAI_API_KEY"][1] in get_args(ChatModel)
