"""The `[channels.telegram]` section."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from channels.servers import web_address
from opencraw.settings import AccessSettings, FromEnvironment, TypingSettings

#: The bot's id, a colon, and a secret.
_TOKEN = re.compile(r"\d{1,20}:[A-Za-z0-9_-]{20,100}")
_PERSON = re.compile(r"[1-9]\d{0,19}")
_GROUP = re.compile(r"-[1-9]\d{0,19}")
_WEBHOOK_SECRET = re.compile(r"[A-Za-z0-9_-]{16,256}")


class TelegramSettings(TypingSettings):
    """Telegram: a bot that you make with @BotFather (see runbooks/channel-telegram.md)."""

    bot_token: Annotated[SecretStr | None, FromEnvironment("TELEGRAM_BOT_TOKEN", enables=True)] = (
        None
    )
    """The token that BotFather gave you."""

    api_url: str = "https://api.telegram.org"
    """Where the Bot API is; another address for a Bot API server of your own."""

    long_poll_timeout_seconds: int = Field(default=30, ge=1, le=30)
    """How long Telegram may hold a poll that finds nothing."""

    webhook_url: str = ""
    """The public https address of the daemon, when Telegram is to call; empty: it is polled."""

    webhook_secret: Annotated[SecretStr | None, FromEnvironment("TELEGRAM_WEBHOOK_SECRET")] = None
    """What Telegram has to say when it calls: 16 to 256 of A-Z, a-z, 0-9, _ and -."""

    drafts: bool = True
    """Whether an answer is shown while it is being written."""

    draft_interval_ms: int = Field(default=800, ge=250, le=5000)
    """How long a draft stands in a direct chat before it grows; in groups it is 3.5 s at least."""

    disable_link_previews: bool = True
    """Whether links in answers are shown without a preview of what is behind them."""

    # What marks a possible second copy has to fit into a message of 4,096, too.
    max_message_chars: int = Field(default=4000, ge=100, le=4000)
    """The length at which an answer is cut into several messages; Telegram takes 4,096."""

    @property
    def patience(self) -> float:
        """For how many seconds Telegram may say nothing, at most 45."""
        return self.long_poll_timeout_seconds * 4 / 3 + 1.5

    @property
    def public_name(self) -> str:
        """The name, with its port if it has one, that Telegram calls; empty if it is polled."""
        return urlsplit(self.webhook_url).netloc.lower()

    @field_validator("api_url", "webhook_url")
    @classmethod
    def _address(cls, url: str, info: ValidationInfo) -> str:
        polled = info.field_name == "webhook_url" and not url
        return url if polled else web_address(url)

    @field_validator("access")
    @classmethod
    def _are_ids(cls, access: AccessSettings) -> AccessSettings:
        for each in (*access.owners, *access.allowed_senders):
            if _PERSON.fullmatch(each) is None:
                raise ValueError(
                    f"{each[:80]!a} is nobody's id, and names let nobody in: write the number, as "
                    "in 123456789, that the assistant's first notice shows"
                )
        for each in access.groups:
            if _GROUP.fullmatch(each) is None:
                raise ValueError(
                    f"{each[:80]!a} is no group's id, and names let nobody in: write the negative "
                    "number, as in -1001234567890, that `opencraw channels logs telegram` shows"
                )
        return access

    @field_validator("bot_token")
    @classmethod
    def _token(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and _TOKEN.fullmatch(token.get_secret_value()) is None:
            raise ValueError("must be a bot's token, as in 123456789:AAF… (ask @BotFather)")
        return token

    @field_validator("webhook_secret")
    @classmethod
    def _secret(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and _WEBHOOK_SECRET.fullmatch(secret.get_secret_value()) is None:
            raise ValueError("must have 16 to 256 characters of A-Z, a-z, 0-9, _ and -")
        return secret

    @model_validator(mode="after")
    def _is_complete(self) -> TelegramSettings:
        if self.enabled and self.bot_token is None:
            raise ValueError(
                "enabled without bot_token: set TELEGRAM_BOT_TOKEN to what @BotFather gave you"
            )
        if bool(self.webhook_url) != (self.webhook_secret is not None):
            raise ValueError("webhook_url and webhook_secret go together: set both or none")
        own_server = self.api_url != TelegramSettings.model_fields["api_url"].default
        if self.webhook_url.startswith("http:") and not own_server:
            raise ValueError("webhook_url must begin with https: Telegram calls nothing else")
        return self
