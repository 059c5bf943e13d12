"""The `[channels.linear]` section."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from opencraw.settings import AccessSettings, FromEnvironment, PlatformSettings


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

    graphql_url: str = "https://api.linear.app/graphql"
    """Where Linear's API is."""

    uploads_url: str = "https://uploads.linear.app"
    """Where files in comments are; nothing else is fetched."""

    team_ids: list[str] = []
    """Comments of these teams are asked for; empty asks for all that the account can see."""

    poll_interval_ms: int = Field(default=3000, ge=50, le=20_000)
    """The pause between two polls. Linear allows 5,000 requests an hour."""

    request_seconds: float = Field(default=15.0, gt=0, le=15)
    """How long Linear may take to answer; three times that in silence, and the line counts as dead."""  # noqa: E501 - one line of help

    webhook_secret: Annotated[SecretStr | None, FromEnvironment("LINEAR_WEBHOOK_SECRET")] = None
    """The signing secret of a webhook to /api/v1/os/channels/linear/webhook; without one Linear is only polled."""  # noqa: E501 - one line of help

    drafts: bool = True
    """Whether people see answers grow."""

    draft_interval_ms: int = Field(default=3000, ge=100, le=60_000)
    """How often an answer that grows is drawn anew."""

    max_message_chars: int = Field(default=20_000, ge=200, le=100_000)
    """A longer answer becomes several comments."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.enabled and not (self.api_key and self.api_key.get_secret_value().strip()):
            raise ValueError("Linear answers nobody without a key: export LINEAR_API_KEY=…")
        if self.webhook_secret is not None and not self.webhook_secret.get_secret_value().strip():
            raise ValueError("a blank webhook_secret would let anybody speak: set or remove it")
        return self
