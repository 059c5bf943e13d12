"""Limits that could not hold are refused at the start."""

from __future__ import annotations

from pathlib import Path

import pytest

from opencraw.config import load
from opencraw.errors import ConfigInvalid, ConfigProblem

KEY = {"OPENAI_API_KEY": "sk-of-a-test"}
MODEL = """\
[llm]
active_profile = "main"
[llm.profiles.main]
provider = "{provider}"
model = "fake"
{prices}
[limits]
spend_per_day = {cap}
"""
PROMPT = "price_per_million_prompt_tokens = 3.0\n"
COMPLETION = "price_per_million_completion_tokens = 15\n"


def written(folder: Path, *, provider: str = "openai", prices: str = "", cap: str = "5") -> Path:
    path = folder / "config.toml"
    path.write_text(MODEL.format(provider=provider, prices=prices, cap=cap))
    return path


def refused(path: Path) -> list[ConfigProblem]:
    with pytest.raises(ConfigInvalid) as refusal:
        load(path, KEY)
    return refusal.value.problems


@pytest.mark.parametrize(
    ("prices", "missing"),
    [
        ("", ["price_per_million_prompt_tokens", "price_per_million_completion_tokens"]),
        (PROMPT, ["price_per_million_completion_tokens"]),
        (COMPLETION, ["price_per_million_prompt_tokens"]),
    ],
)
def test_a_cap_over_a_model_without_prices_is_refused(
    tmp_path: Path, prices: str, missing: list[str]
) -> None:
    problems = refused(written(tmp_path, prices=prices))
    assert [problem.key for problem in problems] == [f"llm.profiles.main.{key}" for key in missing]
    for problem in problems:
        assert problem.where.startswith(f"{tmp_path}/config.toml:")
        assert "openai/fake has no price, so limits.spend_per_day could not hold" in str(problem)
        assert "0 if it costs nothing" in problem.fix


@pytest.mark.parametrize(
    ("provider", "prices", "cap"),
    [
        ("openai", PROMPT + COMPLETION, "5"),
        ("openai", "", "0"),
        ("demo", "", "5"),
        ("openai", PROMPT.replace("3.0", "0") + COMPLETION.replace("15", "0"), "0.5"),
    ],
    ids=["prices", "no cap", "demo", "free"],
)
def test_a_cap_that_can_hold_is_taken(tmp_path: Path, provider: str, prices: str, cap: str) -> None:
    path = written(tmp_path, provider=provider, prices=prices, cap=cap)
    assert load(path, KEY).configuration.limits.spend_per_day == float(cap)


def test_every_profile_that_people_could_choose_needs_prices(tmp_path: Path) -> None:
    path = written(tmp_path, prices=PROMPT + COMPLETION)
    path.write_text(
        path.read_text() + '\n[llm.profiles.spare]\nprovider = "openai"\nmodel = "spare"\n'
    )
    assert {problem.key.rpartition(".")[0] for problem in refused(path)} == {"llm.profiles.spare"}


@pytest.mark.parametrize(
    "text",
    [
        "[limits]\nmessages_per_minute = -1",
        "[limits]\nspend_per_day = -0.5",
        "[limits]\nspend_per_day = inf",
        '[[queue.send_policy]]\naction = "forbid"',
        '[[queue.send_policy]]\naction = "deny"\nchat = "x"',
    ],
)
def test_a_limit_that_cannot_be_meant_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(MODEL.format(provider="demo", prices="", cap="0").partition("[limits]")[0])
    path.write_text(path.read_text() + text)
    assert len(refused(path)) == 1


def test_the_environment_can_say_it_too(tmp_path: Path) -> None:
    environ = {
        "OPENCRAW_LIMITS__MESSAGES_PER_MINUTE": "7",
        "OPENCRAW_LIMITS__SPEND_PER_DAY": "2.5",
        "OPENCRAW_QUEUE__SEND_POLICY": '[{"action": "deny", "chat_type": "group"}]',
    }
    loaded = load(written(tmp_path, provider="demo", cap="1"), environ).configuration
    assert (loaded.limits.messages_per_minute, loaded.limits.spend_per_day) == (7, 2.5)
    [rule] = loaded.queue.send_policy
    assert (rule.action, rule.chat_type, rule.channel) == ("deny", "group", None)


def test_a_model_that_may_be_silent_for_longer_than_a_turn_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(
        '[llm]\nactive_profile = "main"\n[llm.profiles.main]\nprovider = "openai"\nmodel = "fake"\n'
        "idle_timeout_seconds = 30\n[queue]\nstuck_after_seconds = 30\n"
    )
    [problem] = refused(path)
    assert problem.key == "queue.stuck_after_seconds"
    path.write_text(path.read_text().replace("seconds = 30\n[queue]", "seconds = 29\n[queue]"))
    load(path, KEY)
