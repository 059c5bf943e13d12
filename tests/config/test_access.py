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


def test_where_there_are_no_direct_chats_groups_are_needed_and_no_codes_advised() -> None:
    class Access(AccessSettings):
        mode: Literal["allowlist", "open"] = "allowlist"

    class Settings(PlatformSettings):
        access: AccessSettings = Access()

    access = Access(groups=["1"])
    [(_, _, fix)] = problems_of("chat", Settings(enabled=True, access=access))
    assert fix == "list your own id under owners"
    # Nobody writes there directly, either.
    access = Access(owners=["1"])
    [(key, problem, _)] = problems_of("chat", Settings(enabled=True, access=access))
    assert key == "groups"
    assert problem.startswith("nobody could be heard on chat")
    assert list(problems_of("chat", Settings(enabled=False, access=access))) == []


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
    text = f'{MODEL}[channels.http.access]\nowners = ["1", ""]\n'
    problem = only(tmp_path, text)
    assert problem.key == "channels.http.access.owners"
    assert problem.where.endswith(":7")
    (tmp_path / "config.toml").write_text(text.replace(', ""', ""))
    load(tmp_path / "config.toml", {})


@pytest.mark.parametrize(
    ("link", "why", "fix"),
    [
        ("Telegram:1", "no such channel", 'write "telegram:1"'),
        (" telegram:1", "no such channel", 'write "telegram:1"'),
        ("telegram: 1", "blanks around it", "write the id as the platform shows it"),
        ("telegram:@ann", "is nobody: ", "write the id that /whoami tells"),
        ("email:Ann@X.org", "email spells this sender otherwise", 'write "email:ann@x.org"'),
        ("gmail:ann", "is no e-mail address", "write the id that /whoami tells"),
    ],
)
def test_a_link_to_somebody_who_is_never_heard_is_refused(
    tmp_path: Path, link: str, why: str, fix: str
) -> None:
    text = f'[sessions.identity_links]\nanna = ["{link}", "webchat:anna"]\n'
    refused = only(tmp_path, MODEL + text)
    assert refused.key == "sessions.identity_links.anna"
    assert why in refused.problem
    assert fix in refused.fix


def test_a_link_to_people_as_their_channels_know_them_is_right(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    links = '["telegram:1", "discord:1098765432109876543", "email:ann@x.org"]'
    path.write_text(f"{MODEL}[sessions.identity_links]\nanna = {links}\n")
    assert load(path, {}).configuration.sessions.links.name("telegram", "1") == "anna"
