"""The `[channels.linear]` section."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from channels.servers import WebAddress
from opencraw.settings import AccessSettings, FromEnvironment, PlatformSettings

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OTHERS = ("bot:", "external:")
_KEY = re.compile(r"\S*")
_LEAST_SECRET = 16


class LinearAccess(AccessSettings):
    """Who may talk to the assistant. Ids are Linear's own, never names."""

    mode: Literal["allowlist", "open"] = "allowlist"
    """How the others of a team become guests: never, or at once. There is no chat in which they could ask for a code."""  # noqa: E501 - one line of help

    groups: list[str] = []
    """Teams in which the assistant listens to the people it knows; nowhere else."""


class LinearSettings(PlatformSettings):
    """Linear: comments that mention the assistant, or are on issues assigned to it."""

    access: LinearAccess = LinearAccess()
    """Who may talk to the assistant here."""

    api_key: Annotated[SecretStr | None, FromEnvironment("LINEAR_API_KEY", enables=True)] = None
    """The API key of the assistant's own account, never yours."""

    graphql_url: WebAddress = "https://api.linear.app/graphql"
    """Where Linear's API is."""

    uploads_url: WebAddress = "https://uploads.linear.app"
    """Where files in comments are; nothing else is fetched."""

    team_ids: list[str] = []
    """Comments of these teams are asked for; empty asks for all that the account can see."""

    poll_interval_ms: int = Field(default=3000, ge=50, le=20_000)
    """The pause between two polls. Linear allows 5,000 requests an hour."""

    request_seconds: float = Field(default=15.0, gt=0, le=15)
    """How long Linear may take to answer; three times that and a pause in silence, and the line counts as dead."""  # noqa: E501 - one line of help

    webhook_secret: Annotated[SecretStr | None, FromEnvironment("LINEAR_WEBHOOK_SECRET")] = None
    """The signing secret of a webhook to /api/v1/os/channels/linear/webhook; without one Linear is only polled."""  # noqa: E501 - one line of help

    drafts: bool = True
    """Whether people see answers grow."""

    draft_interval_ms: int = Field(default=3000, ge=100, le=60_000)
    """How often an answer that grows is drawn anew."""

    max_message_chars: int = Field(default=20_000, ge=200, le=100_000)
    """A longer answer becomes several comments."""

    @field_validator("team_ids")
    @classmethod
    def _are_teams(cls, teams: list[str]) -> list[str]:
        return _ids(teams)

    @field_validator("access")
    @classmethod
    def _are_ids(cls, access: LinearAccess) -> LinearAccess:
        # Programs, and people of chats that are connected, may be let in by other ids.
        people = [each for each in access.allowed_senders if not each.startswith(_OTHERS)]
        _ids([*access.owners, *people, *access.groups])
        return access

    @field_validator("api_key")
    @classmethod
    def _key(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and _KEY.fullmatch(key.get_secret_value().strip()) is None:
            raise ValueError("must be a key, as in lin_api_…, without blanks in it")
        return key

    @field_validator("webhook_secret")
    @classmethod
    def _secret(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and len(secret.get_secret_value().strip()) < _LEAST_SECRET:
            raise ValueError(
                "anybody could guess it: copy the signing secret of the webhook, as in lin_wh_…"
            )
        return secret

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.enabled and not (self.api_key and self.api_key.get_secret_value().strip()):
            raise ValueError("Linear answers nobody without a key: export LINEAR_API_KEY=…")
        return self


def _ids(names: list[str]) -> list[str]:
    for each in names:
        if _ID.fullmatch(each) is None:
            raise ValueError(
                f"{each[:80]!a} is no id of Linear's, and names let nobody in: write it as in "
                "9cfb482a-81e3-4154-b5b9-2c805e70a02d; runbooks/channel-linear.md shows how to get "
                "it"
            )
    return names
