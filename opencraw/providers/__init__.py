"""Providers: each speaks one vendor's wire format and hides it behind `opencraw.model.Provider`.

How an answer travels: `http` posts what a dialect translated and hands on the payloads that `sse`
finds in the bytes; the dialect's reader turns payloads into events. The three dialects
(`openai_chat`, `openai_responses`, `anthropic_messages`) do no input or output of their own.
To add a vendor, write a dialect and name it here.
"""

from __future__ import annotations

from collections.abc import Callable

from opencraw.errors import CannotStart
from opencraw.model import Provider
from opencraw.providers.settings import Profile


def open_provider(profile: Profile, key: str | None) -> Provider:
    """The provider that a profile names. It connects when it is first asked something.

    Raises `CannotStart` for a key that no request could carry.
    """
    return _OPENERS[profile.provider](profile, _checked(profile, key))


def needs_key(profile: Profile) -> str | None:
    """The environment variable that must hold a key, or None when the model may do without one."""
    return key_variable(profile) if profile.own_host else None


def key_variable(profile: Profile) -> str | None:
    """The environment variable whose key this profile is sent, where there is one."""
    return _KEY_VARIABLES.get(profile.provider)


_KEY_VARIABLES = {
    "openai": "OPENAI_API_KEY",
    "openai-responses": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
}


def _checked(profile: Profile, key: str | None) -> str | None:
    key = (key or "").strip()
    # A header cannot carry it, and the error that says so would print it.
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise CannotStart(
            f"the key for {profile.label} contains characters that no key has, "
            f"so the vendor would refuse it; set {key_variable(profile)} again, in one line"
        )
    return key or None


def _demo(_profile: Profile, _key: str | None) -> Provider:
    from opencraw.providers.demo import DemoProvider

    return DemoProvider()


def _openai_chat(profile: Profile, key: str | None) -> Provider:
    from opencraw.providers.http import HttpProvider
    from opencraw.providers.openai_chat import OpenAiChat

    return HttpProvider(profile, key, OpenAiChat(profile))


def _openai_responses(profile: Profile, key: str | None) -> Provider:
    from opencraw.providers.http import HttpProvider
    from opencraw.providers.openai_responses import OpenAiResponses

    return HttpProvider(profile, key, OpenAiResponses(profile))


def _anthropic(profile: Profile, key: str | None) -> Provider:
    from opencraw.providers.anthropic_messages import AnthropicMessages
    from opencraw.providers.http import HttpProvider

    return HttpProvider(profile, key, AnthropicMessages(profile))


_OPENERS: dict[str, Callable[[Profile, str | None], Provider]] = {
    "demo": _demo,
    "openai": _openai_chat,
    "openai-responses": _openai_responses,
    "anthropic": _anthropic,
}
