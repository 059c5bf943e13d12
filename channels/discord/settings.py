"""The `[channels.discord]` section."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from channels.servers import web_address
from opencraw.settings import AccessSettings, FromEnvironment, TypingSettings

_ID = re.compile(r"\d{15,20}")
#: The bot's id, a time and a signature.
_TOKEN = re.compile(r"[\w-]+=*\.[\w-]+\.[\w-]+", re.ASCII)


class DiscordSettings(TypingSettings):
    """Discord: direct messages, and the channels that access.groups lists, with their threads."""

    bot_token: Annotated[SecretStr | None, FromEnvironment("DISCORD_BOT_TOKEN", enables=True)] = (
        None
    )
    """The token of your application's bot."""

    drafts: bool = True
    """Whether an answer is shown while it is written, by a message that is edited."""

    draft_interval_ms: int = Field(default=1200, ge=100, le=60_000)
    """How far apart those edits are; Discord holds back faster ones than one in 1,200."""

    intent_guild_messages: bool = True
    """Whether messages of servers are received at all."""

    intent_message_content: bool = True
    """Whether messages of servers are read that do not mention the assistant. Needs the Message
    Content Intent, switched on in the Developer Portal."""

    catch_up_hours: int = Field(default=24, ge=0, le=168)
    """What was written while no daemon listened is answered if it is at most so many hours old."""

    slash_commands: bool = True
    """Whether our commands are registered, so that Discord lists them when somebody types `/`."""

    api_url: str = Field(default="https://discord.com/api/v10", pattern=r"^https?://\S+[^/\s]$")
    """Where Discord's API is: for a proxy of your own."""

    @field_validator("api_url")
    @classmethod
    def _address(cls, url: str) -> str:
        return web_address(url)

    @field_validator("access")
    @classmethod
    def _are_ids(cls, access: AccessSettings) -> AccessSettings:
        for each in (*access.owners, *access.allowed_senders, *access.groups):
            if _ID.fullmatch(each) is None:
                raise ValueError(
                    f"{each[:80]!a} is no id of Discord's, and names let nobody in: write the "
                    "number, as in 1098765432109876543, that Copy User ID or Copy Channel ID gives"
                )
        return access

    @field_validator("bot_token")
    @classmethod
    def _token(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and _TOKEN.fullmatch(token.get_secret_value()) is None:
            raise ValueError(
                "must be a bot's token, as in MTIz….G4xx….abc… (Developer Portal, Bot, Reset "
                'Token), without "Bot" before it'
            )
        return token

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.enabled and self.bot_token is None:
            raise ValueError(
                "enabled without bot_token: set DISCORD_BOT_TOKEN to the token of your "
                "application's bot"
            )
        return self
