"""The base of every configuration section. A section lives beside the code that it configures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Mode = Literal["collect", "followup", "steer", "interrupt"]
DebounceWindow = Literal["fixed", "sliding"]
Drop = Literal["summarize", "oldest", "newest", "block"]

LONGEST_DEBOUNCE_MS = 60_000
LARGEST_CAP = 1000


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

    token: Annotated[SecretStr | None, FromEnvironment("TELEGRAM_BOT_TOKEN")] = None
    """

    variable: str


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


class HttpChannelSettings(ChannelSettings):
    """A channel that is spoken to over the daemon's HTTP server."""

    port: int = Field(default=3000, ge=0, le=65_535)
    """The port the daemon's HTTP server listens on; 0 takes any free one."""
