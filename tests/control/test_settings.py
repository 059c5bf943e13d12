from __future__ import annotations

import pytest
from pydantic import ValidationError

from opencraw.control.settings import RuntimeSettings, SecuritySettings, socket_address

STRONG = "0123456789abcdef-strong"


def test_nothing_configured_stays_on_this_machine() -> None:
    assert not RuntimeSettings().public
    assert not SecuritySettings().has_keys


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("127.0.0.1", False),
        ("127.0.0.1:80", False),
        ("::1", False),
        ("[::1]:80", False),
        ("10.0.0.1", True),
        ("0.0.0.0", True),
        ("::", True),
        ("[2001:db8::1]:3000", True),
    ],
)
def test_a_custom_address_is_public_or_not(address: str, public: bool) -> None:
    assert RuntimeSettings(bind_mode="custom", bind_addr=address).public is public


def test_a_custom_address_may_name_the_port() -> None:
    assert RuntimeSettings(bind_mode="custom", bind_addr="[::1]:99").port(3000) == 99
    assert RuntimeSettings(bind_mode="custom", bind_addr="::1").port(3000) == 3000
    assert RuntimeSettings(bind_addr="[::1]:99").port(3000) == 3000
    assert socket_address("10.0.0.1:80") == ("10.0.0.1", 80)


@pytest.mark.parametrize("address", ["localhost", "10.0.0", "10.0.0.1:http", "10.0.0.1:70000", ""])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValidationError):
        RuntimeSettings(bind_mode="custom", bind_addr=address)


def test_custom_needs_an_address() -> None:
    with pytest.raises(ValidationError, match="needs bind_addr"):
        RuntimeSettings(bind_mode="custom")


@pytest.mark.parametrize(
    "token",
    [
        *("", " ", "undefined", "change-me", "short", "a" * 40, "with a space 0123456789"),
        *("\n" * 20, "change-me-change-me", "your-secret-token-here", "1234567890123456"),
    ],
)
def test_a_key_that_could_be_guessed_is_refused(token: str) -> None:
    with pytest.raises(ValidationError):
        SecuritySettings.model_validate({"control_api_key": token})


def test_a_key_without_scopes_is_no_key_to_speak_of() -> None:
    key = {"token": "q8Zr2mVx0Lk5Tn7Yb3", "scopes": []}
    assert not SecuritySettings.model_validate({"control_api_keys": [key]}).has_keys


def test_two_keys_with_one_token_are_refused() -> None:
    key = {"token": STRONG, "scopes": ["*"]}
    for section in (
        {"control_api_keys": [key, {**key, "scopes": []}]},
        {"control_api_keys": [key], "control_api_key": STRONG},
    ):
        with pytest.raises(ValidationError, match="same token"):
            SecuritySettings.model_validate(section)


@pytest.mark.parametrize(
    "scope", ["admin", "config", "config:*", "CONFIG:READ", "timers:write", ""]
)
def test_an_unsupported_scope_is_refused(scope: str) -> None:
    key = {"token": STRONG, "scopes": ["config:read", scope]}
    with pytest.raises(ValidationError, match="unsupported"):
        SecuritySettings.model_validate({"control_api_keys": [key]})


@pytest.mark.parametrize("host", ["*", "http://a.example", "a.example/", "", "a b", "*.a.example"])
def test_a_host_is_a_whole_name(host: str) -> None:
    with pytest.raises(ValidationError):
        SecuritySettings(allowed_hosts=[host])


@pytest.mark.parametrize("origin", ["*", "null", "a.example", "https://a.example/", "https://*"])
def test_an_origin_is_a_whole_value(origin: str) -> None:
    with pytest.raises(ValidationError):
        SecuritySettings(allowed_origins=[origin])


def test_no_key_is_ever_shown() -> None:
    section = {
        "control_api_key": STRONG,
        "control_api_keys": [{"token": f"{STRONG}2", "scopes": []}],
    }
    assert STRONG not in repr(SecuritySettings.model_validate(section))
    with pytest.raises(ValidationError) as refused:
        SecuritySettings.model_validate(section | {"control_api_key": f"{STRONG}2"})
    assert STRONG not in str(refused.value)
    with pytest.raises(ValidationError) as refused:
        SecuritySettings.model_validate(
            {"control_api_keys": [{"token": STRONG, "scopes": ["no"], "more": STRONG}]}
        )
    assert STRONG not in str(refused.value)
