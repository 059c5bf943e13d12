"""The `[channels.email]` section."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from channels.mail.addresses import spelled_as_known
from channels.servers import is_here
from opencraw.settings import AccessSettings, PlatformSettings

#: A name, or an address; a port has a field of its own.
_HOST = re.compile(r"[\w.-]+|\[?[0-9a-fA-F]*:[0-9a-fA-F:]+\]?")

Security = Literal["tls", "starttls", "none"]


class EmailSettings(PlatformSettings):
    """Any mailbox over IMAP and SMTP."""

    address: str = ""
    """The mailbox's own address. The assistant writes from it."""

    name: str = "Assistant"
    """The name beside the address in what the assistant writes."""

    aliases: list[str] = []
    """Other addresses whose mail comes to this mailbox. Mail counts only if its To or Cc names one
    of these, or the mailbox itself."""

    username: str = ""
    """The name to log in with, if it is not the address."""

    password: SecretStr | None = None
    """Its password."""

    authserv_id: str = ""
    """The name that your receiving mail server writes first in the Authentication-Results header of
    what it delivers. Without it no sender can be told from a forger, and nobody is let in."""

    imap_host: str = ""
    """The server that has the mail."""

    imap_port: int = Field(default=993, ge=1, le=65_535)
    """Its port: 993 with `tls`, 143 with `starttls`."""

    imap_security: Security = "tls"
    """How the line to it is protected; `none` only on this machine."""

    folder: str = "INBOX"
    """The folder that is read."""

    mark_read: bool = True
    """Whether mail is marked as read once it was taken in."""

    sent_folder: str = ""
    """Where copies of what is sent are kept; empty keeps none. Many servers keep their own."""

    idle_seconds: int = Field(default=20, ge=1, le=20)
    """How often the server is asked whether it is there still. Most tell by themselves when mail
    comes (IDLE); others are looked at so often."""

    smtp_host: str = ""
    """The server that takes outgoing mail."""

    smtp_port: int = Field(default=465, ge=1, le=65_535)
    """Its port: 465 with `tls`, 587 with `starttls`."""

    smtp_security: Security = "tls"
    """How the line to it is protected; `none` only on this machine."""

    retry_seconds: int = Field(default=60, ge=1, le=3_600)
    """When a mail is tried again that the server does not take at the moment."""

    ca_file: str = ""
    """Certificates to believe instead of the system's, for servers with one of their own."""

    @field_validator("imap_host", "smtp_host")
    @classmethod
    def _host(cls, host: str) -> str:
        if host and _HOST.fullmatch(host) is None:
            raise ValueError('must be a server\'s name, as in "mail.example.org", and nothing else')
        return host

    @field_validator("folder")
    @classmethod
    def _folder(cls, folder: str) -> str:
        if not folder.strip():
            raise ValueError('must name a folder, as in "INBOX"')
        return folder

    @field_validator("ca_file")
    @classmethod
    def _certificates(cls, name: str) -> str:
        if name and not Path(name).is_file():
            raise ValueError(f"there is no file {name!a}: name one with certificates, or none")
        return name

    @field_validator("access")
    @classmethod
    def _names_mailboxes(cls, access: AccessSettings) -> AccessSettings:
        return spelled_as_known(access)

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if not self.enabled:
            return self
        wanted = {
            "address": self.address,
            "imap_host": self.imap_host,
            "smtp_host": self.smtp_host,
            "password": self.password,
        }
        missing = [name for name, value in wanted.items() if not value]
        if missing:
            raise ValueError(f"needs {', '.join(missing)} before it can be enabled")
        if "@" not in self.address:
            raise ValueError("address must be one, such as assistant@example.org")
        return self

    @model_validator(mode="after")
    def _is_protected(self) -> Self:
        for host, security in (
            (self.imap_host, self.imap_security),
            (self.smtp_host, self.smtp_security),
        ):
            if security == "none" and host and not is_here(host):
                raise ValueError(
                    f"{host} is another machine: passwords and mail go there only over tls"
                )
        return self
