"""The base of every configuration section. A section lives beside the code that it configures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field, field_validator

Mode = Literal["collect", "followup", "steer", "interrupt"]
DebounceWindow = Literal["fixed", "sliding"]
Drop = Literal["summarize", "oldest", "newest", "block"]

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

LONGEST_DEBOUNCE_MS = 60_000
LARGEST_CAP = 1000
#: With pauses of up to a minute: a platform that is away for a quarter of an hour costs no reply.
USUAL_ATTEMPTS = 20


class Section(BaseModel):
    """Part of the configuration: unknown keys and wrong types are refused, values never change.

    Every field has a default or is required, and a docstring: the line of help that
    `config.example.toml` shows above it.
    """

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True
    )


@dataclass(frozen=True, slots=True)
class FromEnvironment:
    """A field that is also read from a variable whose name others chose, as a platform's token is.

    token: Annotated[SecretStr | None, FromEnvironment("TELEGRAM_BOT_TOKEN", enables=True)] = None
    """

    variable: str
    #: It is all that its channel needs: whoever gives it wants the channel to run.
    enables: bool = False


class ChannelSettings(Section):
    """What every channel can be told; a channel's own section adds to it."""

    enabled: bool = False
    """Whether the daemon opens this channel."""

    mode: Mode | None = None
    """Overrides queue.mode for this channel."""

    debounce_ms: int | None = Field(default=None, ge=0, le=LONGEST_DEBOUNCE_MS)
    """Overrides queue.debounce_ms for this channel."""

    debounce_window: DebounceWindow | None = None
    """Overrides queue.debounce_window for this channel."""

    messages_per_minute: int | None = Field(default=None, ge=0, le=1_000_000)
    """Overrides limits.messages_per_minute for this channel."""

    delivery_attempts: int = Field(default=USUAL_ATTEMPTS, ge=1, le=1_000)
    """How often a message is tried that the platform does not take, before it is a dead letter; the
    pauses between grow from a second to a minute."""


class PageSettings(ChannelSettings):
    """A channel whose page the daemon's HTTP server shows."""

    port: int = Field(default=3000, ge=0, le=65_535)
    """The port the daemon's HTTP server listens on; 0 takes any free one."""


AccessMode = Literal["pairing", "allowlist", "open"]


class AccessSettings(Section):
    """Who may talk to the assistant here. Ids are the platform's own, never names."""

    mode: AccessMode = "pairing"
    """How strangers become guests: by a code that an owner approves, never, or at once."""

    owners: list[str] = []
    """Senders who may do everything that can be done in a chat."""

    allowed_senders: list[str] = []
    """Senders who are guests without being asked for a code."""

    groups: list[str] = []
    """Groups (or channels) in which the assistant listens to the people it knows; nowhere else."""

    require_mention: bool = True
    """Whether a group's messages must be meant for the assistant: a mention, a reply, a command."""


class AttachmentSettings(Section):
    """Which files people may send here; nothing else is fetched."""

    max_bytes: int = Field(default=10_000_000, ge=0, le=50_000_000)
    """How large a file may be; 0 takes none."""

    max_per_message: int = Field(default=10, ge=0, le=50)
    """How many of a message's files are looked at."""

    types: list[str] = ["image/*", "text/*", "audio/*", "application/pdf", "application/json", DOCX]
    """Which types are taken, by their MIME names; `image/*` is all images."""

    @field_validator("types")
    @classmethod
    def _are_types(cls, types: list[str]) -> list[str]:
        for each in types:
            if each.count("/") != 1 or each.startswith("/") or each.endswith("/"):
                raise ValueError(f'"{each}" is no type: write it as "application/pdf" or "image/*"')
        return types


class PlatformSettings(ChannelSettings):
    """A channel that strangers can reach: who may talk there is decided at the door."""

    access: AccessSettings = AccessSettings()
    """Who may talk to the assistant here."""

    attachments: AttachmentSettings = AttachmentSettings()
    """Which files people may send here."""


@runtime_checkable
class KnowsItsName(Protocol):
    """A channel whose platform is told by us where to call."""

    @property
    def public_name(self) -> str:
        """The name, with its port if it has one, that the platform calls; empty is none."""
        ...


class TypingSettings(PlatformSettings):
    """A channel on whose platform somebody can be seen typing."""

    typing: bool = True
    """Whether people see that the assistant is at work."""
