"""The `[llm]` and `[keys]` sections: which model answers, where it lives and what may open it."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from opencraw.settings import FromEnvironment, Section

ProviderName = Literal["openai", "openai-responses", "anthropic", "demo"]

#: Where each vendor lives; a profile without a `base_url` goes there.
VENDOR_URLS: dict[str, str] = {
    "openai": "https://api.openai.com/v1",
    "openai-responses": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com",
}

#: Names of models that look at pictures, as far as they tell.
_SEES = re.compile(
    r"(?:^|/)(?:(?:chat)?gpt-(?:4o|4\.[1-9]|4-turbo|[5-9])|o1(?!-mini)|o3(?!-mini)|o[4-9]"
    r"|claude-(?!1|2|instant)|gemini|gemma-?3|pixtral|llava|llama-?(?:3\.2-(?:11|90)b|4))"
    r"|vision|[-_.]vl\b|\dvl\b"
)

#: The vendor's own floor for a thinking budget.
LEAST_THINKING = 1024


class Profile(Section):
    """One model and how to reach it."""

    provider: ProviderName
    """The wire format: openai (also Ollama, vLLM, OpenRouter and their like), openai-responses, anthropic, or demo."""  # noqa: E501 - one line of help

    model: str = Field(min_length=1)
    """The model's name as the vendor writes it."""

    base_url: str | None = None
    """Where the model lives when not at the vendor's, as in "http://localhost:11434/v1"."""

    max_output_tokens: int = Field(default=4096, ge=16)
    """The most tokens of one answer, thinking included."""

    thinking_tokens: int = Field(default=0, ge=0)
    """How many of those tokens an anthropic model may think before it answers; 0 turns thinking off."""  # noqa: E501 - one line of help

    context_window: int | None = Field(default=None, ge=1_000)
    """How many tokens the model takes in all; prompts keep within it where context.max_prompt_tokens allows more."""  # noqa: E501 - one line of help

    vision: bool | None = None
    """Whether the model is shown pictures; by default its name tells."""

    idle_timeout_seconds: float = Field(default=60, gt=0)
    """How long a model may stay silent, before its first word or between two, until it is given up."""  # noqa: E501 - one line of help

    total_timeout_seconds: float = Field(default=600, gt=0)
    """How long one answer may take altogether."""

    max_reply_bytes: int = Field(default=16_000_000, ge=1_000)
    """The most bytes of one streamed answer, wrapping included (a token takes about 300)."""

    price_per_million_prompt_tokens: float | None = Field(default=None, ge=0, le=1e6)
    """What a million tokens of questions cost; limits.spend_per_day is in the same unit."""

    price_per_million_completion_tokens: float | None = Field(default=None, ge=0, le=1e6)
    """What a million tokens of answers cost, thinking included."""

    price_per_million_cached_prompt_tokens: float | None = Field(default=None, ge=0, le=1e6)
    """What a million tokens of questions cost that the vendor has in its cache, if less."""

    @property
    def label(self) -> str:
        """The model as people are shown it: `anthropic/claude-sonnet-4-5`."""
        return f"{self.provider}/{self.model}"

    @property
    def sees(self) -> bool:
        """Whether the model is shown pictures."""
        return _SEES.search(self.model.lower()) is not None if self.vision is None else self.vision

    @property
    def own_host(self) -> bool:
        """Whether this goes to the vendor's own machines and not to something that speaks alike."""
        vendor = VENDOR_URLS.get(self.provider)
        if vendor is None or self.base_url is None:
            return vendor is not None
        return urlsplit(self.base_url).hostname == urlsplit(vendor).hostname

    @field_validator("base_url")
    @classmethod
    def _address(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError('must be a web address such as "http://localhost:11434/v1"')
        if parts.username or parts.password:
            raise ValueError("must not carry a password; keys belong in the environment")
        if parts.query or parts.fragment:
            raise ValueError("must end with its path, without ? or #")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _answers_fit(self) -> Profile:
        if self.context_window is not None and self.context_window <= self.max_output_tokens:
            raise ValueError(
                f"context_window ({self.context_window}) must be more than max_output_tokens "
                f"({self.max_output_tokens}), which are taken from it"
            )
        return self

    @model_validator(mode="after")
    def _thinking_fits(self) -> Profile:
        if self.thinking_tokens >= self.max_output_tokens:
            raise ValueError(
                f"thinking_tokens ({self.thinking_tokens}) must be less than "
                f"max_output_tokens ({self.max_output_tokens}), which includes them"
            )
        if 0 < self.thinking_tokens < LEAST_THINKING:
            raise ValueError(f"thinking_tokens must be 0 or at least {LEAST_THINKING}")
        return self


class LlmSettings(Section):
    """Which models there are and which of them answers."""

    active_profile: str = Field(min_length=1)
    """The profile that answers."""

    profiles: dict[str, Profile] = Field(min_length=1)
    """The models that can be chosen, each under a name of your own."""

    @property
    def seeing(self) -> dict[str, str]:
        """The wire formats of the models that are shown pictures, by their labels."""
        return {each.label: each.provider for each in self.profiles.values() if each.sees}

    @property
    def rooms(self) -> dict[str, int]:
        """How many tokens a prompt may have, by the labels of the models that say how many they
        take in all."""
        return {
            profile.label: profile.context_window - profile.max_output_tokens
            for profile in self.profiles.values()
            if profile.context_window is not None
        }


class KeySettings(Section):
    """What opens the vendors' doors; better set in the environment than in a file."""

    openai_api_key: Annotated[SecretStr | None, FromEnvironment("OPENAI_API_KEY")] = None
    """The key for openai and openai-responses profiles."""

    anthropic_api_key: Annotated[SecretStr | None, FromEnvironment("ANTHROPIC_API_KEY")] = None
    """The key for anthropic profiles."""
