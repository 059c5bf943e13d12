"""Lists of people that let nobody in, or in which nobody finds himself."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from opencraw.config import load
from opencraw.config.access import problems_of
from opencraw.settings import AccessSettings, PlatformSettings
from tests.config.test_problems import MODEL, only


def problems(access: dict[str, object], *, enabled: bool = True) -> list[tuple[str, str, str]]:
    settings = AccessSettings.model_validate(access)
    return list(problems_of("chat", PlatformSettings(enabled=enabled, access=settings)))


@pytest.mark.parametrize(
    "access",
    [
        {},
        {"owners": ["1"], "allowed_senders": ["1", "2"], "groups": ["-100"]},
        {"mode": "allowlist", "owners": ["1"]},
        {"mode": "allowlist", "allowed_senders": ["anna@example.org"]},
        {"mode": "open"},
    ],
)
def test_what_somebody_may_mean_is_right(access: dict[str, object]) -> None:
    assert problems(access) == []


def test_an_allowlist_with_nobody_on_it_is_wrong_once_the_channel_is_enabled() -> None:
    [(key, problem, fix)] = problems({"mode": "allowlist", "groups": ["1"]})
    assert key == "mode"
    assert problem.startswith("nobody could talk on chat")
    assert "owners" in fix
    assert problems({"mode": "allowlist"}, enabled=False) == []


def test_nobody_is_told_to_choose_what_is_refused_next() -> None:
    class Access(AccessSettings):
        mode: Literal["allowlist", "open"] = "allowlist"

    class Settings(PlatformSettings):
        access: AccessSettings = Access()

    [(_, _, fix)] = problems_of("chat", Settings(enabled=True))
    assert fix == "list your own id under owners"


@pytest.mark.parametrize("name", ["", " ", "1 ", "a\nb", "a\u200bb", "\u202e1", "x" * 257])
@pytest.mark.parametrize("key", ["owners", "allowed_senders", "groups"])
def test_an_entry_that_is_nobodys_id_is_wrong(key: str, name: str) -> None:
    [(found, problem, _)] = problems({key: ["1", name]})
    assert found == key
    assert "is nobody's id" in problem
    assert problem.isascii(), "it is shown, and must not hide anything itself"


@pytest.mark.parametrize("key", ["owners", "allowed_senders", "groups"])
def test_an_entry_stands_there_once(key: str) -> None:
    [(found, problem, _)] = problems({key: ["1", "2", "1", "1"]})
    assert (found, problem) == (key, "'1' is listed twice")


def test_the_configuration_says_where(tmp_path: Path) -> None:
    text = f'{MODEL}[channels.telegram.access]\nowners = ["1", ""]\n'
    problem = only(tmp_path, text)
    assert problem.key == "channels.telegram.access.owners"
    assert problem.where.endswith(":7")
    (tmp_path / "config.toml").write_text(text.replace(', ""', ""))
    load(tmp_path / "config.toml", {})
