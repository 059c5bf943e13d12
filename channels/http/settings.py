"""The `[channels.http]` section."""

from __future__ import annotations

from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from opencraw.settings import FromEnvironment, TypingSettings

LEAST_SECRET = 16
#: However patient a channel is, within a minute a dead line is known to be one.
LONGEST_SILENCE = 40.0


class HttpSettings(TypingSettings):
    """Any platform, attached over HTTP in any language: a bridge of yours speaks for it."""

    secret: Annotated[SecretStr | None, FromEnvironment("HTTP_CHANNEL_SECRET")] = None
    """What both sides sign with, at least 16 characters."""

    send_url: str = ""
    """Where the bridge takes what we say, as in "https://bridge.example/opencraw"."""

    stream_url: str = ""
    """Where the bridge takes what an answer says so far; empty shows only finished answers."""

    poll_url: str = ""
    """Where we ask the bridge what people said, if it cannot call us; empty never asks."""

    poll_interval_ms: int = Field(default=3000, ge=0, le=20_000)
    """The pause between two polls that found nothing."""

    long_poll_timeout_seconds: float = Field(default=30.0, ge=1, le=30)
    """For how long the bridge may hold a poll open; after half as long again it counts as dead."""

    draft_interval_ms: int = Field(default=500, ge=100, le=60_000)
    """How often the bridge is told what an answer says so far."""

    request_seconds: float = Field(default=60.0, gt=0, le=100)
    """How long the bridge may take to answer."""

    max_message_chars: int = Field(default=20_000, ge=200, le=1_000_000)
    """A longer text is sent in parts."""

    idempotent: bool = True
    """Whether the bridge drops a second copy with the same Idempotency-Key. If not, what may be a copy says so."""  # noqa: E501 - one line of help

    @field_validator("secret")
    @classmethod
    def _guessable(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and len(secret.get_secret_value().strip()) < LEAST_SECRET:
            raise ValueError(f"must have at least {LEAST_SECRET} characters: openssl rand -hex 32")
        return secret

    @field_validator("send_url", "stream_url", "poll_url")
    @classmethod
    def _address(cls, url: str) -> str:
        parts = urlsplit(url)
        if not url:
            return url
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError('must be a web address such as "https://bridge.example/opencraw"')
        if parts.username or parts.password:
            raise ValueError("must not carry a password: requests are signed with the secret")
        return url

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.enabled and self.secret is None:
            raise ValueError("anybody could speak for anybody: export HTTP_CHANNEL_SECRET=…")
        if self.enabled and not self.send_url:
            raise ValueError("nobody would hear an answer: set send_url")
        longest = self.poll_interval_ms / 1000 + self.long_poll_timeout_seconds
        if self.poll_url and longest > LONGEST_SILENCE:
            raise ValueError(
                "poll_interval_ms and long_poll_timeout_seconds may be "
                f"{LONGEST_SILENCE:.0f} s together, or a healthy bridge would look dead: lower one"
            )
        return self
