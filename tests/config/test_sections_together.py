"""Settings that are right each by itself and come to nothing together."""

from __future__ import annotations

from pathlib import Path

import pytest

from opencraw.config import load
from opencraw.errors import ConfigInvalid

MODEL = """\
[llm]
active_profile = "main"
[llm.profiles.main]
provider = "demo"
model = "assistant"
"""


def problems(folder: Path, text: str, **environ: str) -> dict[str, str]:
    """What is wrong, by the names of the keys."""
    path = folder / "config.toml"
    path.write_text(MODEL + text)
    try:
        load(path, environ)
    except ConfigInvalid as refusal:
        return {each.key: f"{each.problem}: {each.fix}" for each in refusal.problems}
    return {}


def test_what_is_never_archived_cannot_be_removed(tmp_path: Path) -> None:
    found = problems(tmp_path, "[sessions]\nprune_after_days = 5")
    assert list(found) == ["sessions.prune_after_days"]
    assert "set sessions.archive_after_days" in found["sessions.prune_after_days"]
    assert problems(tmp_path, "[sessions]\nprune_after_days = 5\narchive_after_days = 1") == {}


def test_a_rule_for_a_channel_that_nobody_installed_is_refused(tmp_path: Path) -> None:
    found = problems(tmp_path, "[sessions.reset_by_channel]\nwebchta = { reset = 'idle' }")
    assert list(found) == ["sessions.reset_by_channel.webchta"]
    words = found["sessions.reset_by_channel.webchta"]
    assert "there is discord, " in words
    assert "did you mean sessions.reset_by_channel.webchat?" in words
    assert problems(tmp_path, "[sessions.reset_by_channel]\nwebchat = { reset = 'idle' }") == {}


CALLED = """[channels.telegram]
webhook_url = "https://Craw.example:8443"
webhook_secret = "only-telegram-knows-this"
"""


def test_a_name_that_a_platform_calls_has_to_be_listed(tmp_path: Path) -> None:
    found = problems(tmp_path, f'{CALLED}[security]\nallowed_hosts = ["a.example"]')
    assert list(found) == ["security.allowed_hosts"]
    words = found["security.allowed_hosts"]
    assert "every call to craw.example:8443 would be refused" in words
    fix = 'allowed_hosts = ["a.example", "craw.example:8443"]'
    assert words.endswith(f"write {fix}")
    assert problems(tmp_path, f"{CALLED}[security]\n{fix}") == {}
    assert problems(tmp_path, CALLED.replace("Craw.example:8443", "203.0.113.7")) == {}


EMBEDDING = "[memory]\nenabled = true\n[memory.embedding]\nmodel = 'text-embedding-3-small'\n"


@pytest.mark.parametrize(
    ("more", "environ"),
    [
        ("", {"OPENAI_API_KEY": "sk-x"}),
        ("api_key = 'sk-y'", {}),
        ("base_url = 'http://localhost:11434/v1'", {}),
    ],
)
def test_a_model_for_vectors_is_taken_with_its_key_or_on_a_server_of_ones_own(
    tmp_path: Path, more: str, environ: dict[str, str]
) -> None:
    assert problems(tmp_path, EMBEDDING + more, **environ) == {}


@pytest.mark.parametrize("more", ["", "base_url = 'https://api.openai.com/v1/'", "api_key = ' '"])
def test_a_model_for_vectors_without_its_key_is_refused(tmp_path: Path, more: str) -> None:
    found = problems(tmp_path, EMBEDDING + more)
    assert list(found) == ["memory.embedding.model"]
    assert "export OPENAI_API_KEY=…" in found["memory.embedding.model"]
    assert problems(tmp_path, EMBEDDING.replace("true", "false") + more) == {}
