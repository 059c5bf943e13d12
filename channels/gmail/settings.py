"""The `[channels.gmail]` section."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from channels.mail.addresses import normalised, spelled_as_known
from channels.servers import WebAddress
from opencraw.settings import AccessSettings, FromEnvironment, PlatformSettings


class GmailSettings(PlatformSettings):
    """Gmail."""

    address: str = ""
    """The mailbox's own address, as Google spells it. The assistant writes from it."""

    client_id: str = ""
    """The OAuth client that asks for access; runbooks/channel-gmail.md tells how to get one."""

    client_secret: SecretStr | None = None
    """Its secret."""

    refresh_token: SecretStr | None = None
    """What the mailbox's owner granted."""

    access_token: Annotated[SecretStr | None, FromEnvironment("GMAIL_ACCESS_TOKEN")] = None
    """An access token instead of the three above. It is good for an hour."""

    name: str = "Assistant"
    """The name beside the address in what the assistant writes."""

    aliases: list[str] = []
    """Other addresses whose mail comes to this mailbox. Mail counts only if its To or Cc names one
    of these, or the mailbox itself."""

    authserv_id: str = "mx.google.com"
    """The name that Google writes first in the Authentication-Results of what it delivers."""

    label: str = "INBOX"
    """The label whose mail is read."""

    mark_read: bool = True
    """Whether mail is marked as read once it was taken in."""

    poll_interval_ms: int = Field(default=5000, ge=50, le=15_000)
    """How often Google is asked for new mail."""

    request_seconds: float = Field(default=20.0, gt=0, le=30)
    """How long an answer of Google may take."""

    api_url: WebAddress = "https://gmail.googleapis.com"
    """Where the Gmail API is."""

    token_url: WebAddress = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
    """Where access tokens are given out."""

    @field_validator("label")
    @classmethod
    def _label(cls, label: str) -> str:
        if not label.strip():
            raise ValueError('must name a label, as in "INBOX"')
        return label

    @field_validator("access")
    @classmethod
    def _names_mailboxes(cls, access: AccessSettings) -> AccessSettings:
        return spelled_as_known(access)

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if not self.enabled:
            return self
        missing = [] if self.address else ["address"]
        if not self.access_token:
            granted = ("client_id", "client_secret", "refresh_token")
            missing += [name for name in granted if not getattr(self, name)]
        if missing:
            raise ValueError(
                f"needs {', '.join(missing)} before it can be enabled; an access_token does "
                "instead of client_id, client_secret and refresh_token"
            )
        if normalised(self.address) is None:
            raise ValueError("address must be one, such as assistant@gmail.com")
        return self
