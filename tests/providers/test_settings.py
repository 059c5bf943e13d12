from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from opencraw.errors import CannotStart
from opencraw.providers import key_variable, needs_key, open_provider
from opencraw.providers.settings import KeySettings, LlmSettings, Profile


def profile(**fields: Any) -> Profile:
    return Profile(**{"provider": "anthropic", "model": "claude", **fields})


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"provider": "smoke-signals"}, "provider"),
        ({"model": ""}, "model"),
        ({"base_url": "localhost:11434"}, "web address"),
        ({"base_url": "http://me:secret@host/v1"}, "password"),
        ({"base_url": "https://host/v1?key=1"}, "without"),
        ({"thinking_tokens": 4096}, "less than"),
        ({"thinking_tokens": 100}, "at least 1024"),
        ({"idle_timeout_seconds": 0}, "idle_timeout_seconds"),
        ({"temperature": 1}, "temperature"),
    ],
)
def test_a_wrong_profile_is_refused(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        profile(**fields)


@pytest.mark.parametrize(
    ("model", "sees"),
    [
        ("claude-sonnet-4-5", True),
        ("claude-3-haiku-20240307", True),
        ("claude-2.1", False),
        ("claude-instant-1.2", False),
        ("gpt-4o-mini", True),
        ("gpt-4.1", True),
        ("gpt-5-mini", True),
        ("gpt-4-turbo", True),
        ("gpt-4", False),
        ("gpt-3.5-turbo", False),
        ("o1", True),
        ("o1-mini", False),
        ("o3-mini", False),
        ("o3", True),
        ("openai/gpt-4o", True),
        ("qwen2.5-vl", True),
        ("llava:13b", True),
        ("llama3.2-vision", True),
        ("llama3.1", False),
        ("mistral-small", False),
        ("assistant", False),
    ],
)
def test_a_name_tells_whether_a_model_sees(model: str, sees: bool) -> None:
    assert profile(model=model).sees is sees
    assert profile(model=model, vision=not sees).sees is not sees


def test_there_is_at_least_one_profile() -> None:
    with pytest.raises(ValidationError):
        LlmSettings(active_profile="main", profiles={})


def test_every_field_has_a_line_of_help() -> None:
    for section in (Profile, LlmSettings, KeySettings):
        for name, field in section.model_fields.items():
            assert field.description, name
            assert "\n" not in field.description


@pytest.mark.parametrize(
    ("fields", "variable"),
    [
        ({}, "ANTHROPIC_API_KEY"),
        ({"provider": "openai"}, "OPENAI_API_KEY"),
        ({"provider": "openai-responses"}, "OPENAI_API_KEY"),
        ({"provider": "openai", "base_url": "https://api.openai.com/v1/"}, "OPENAI_API_KEY"),
        ({"provider": "openai", "base_url": "http://localhost:11434/v1"}, None),
        ({"provider": "demo"}, None),
    ],
)
def test_only_the_vendors_own_hosts_need_a_key(
    fields: dict[str, Any], variable: str | None
) -> None:
    assert needs_key(profile(**fields)) == variable


def test_another_host_is_still_sent_a_key() -> None:
    elsewhere = profile(provider="openai", base_url="https://openrouter.ai/api/v1")
    assert key_variable(elsewhere) == "OPENAI_API_KEY"


def test_a_model_is_shown_with_its_provider() -> None:
    assert profile(provider="demo", model="assistant").label == "demo/assistant"


def test_keys_never_show() -> None:
    keys = KeySettings.model_validate({"openai_api_key": "sk-secret"})
    assert "sk-secret" not in f"{keys!r} {keys} {keys.model_dump()}"


@pytest.mark.parametrize("key", ["sk-one\nsk-two", "sk-ключ", "sk one"])
def test_a_key_that_no_header_carries_is_refused_unseen(key: str) -> None:
    with pytest.raises(CannotStart) as refused:
        open_provider(profile(), key)
    assert key not in str(refused.value)
    assert "ANTHROPIC_API_KEY" in str(refused.value)


@pytest.mark.parametrize("provider", ["openai", "openai-responses", "anthropic", "demo"])
async def test_every_provider_opens_without_a_connection(provider: str) -> None:
    opened = open_provider(profile(provider=provider), " sk-key\n")
    await opened.close()
    await opened.close()
