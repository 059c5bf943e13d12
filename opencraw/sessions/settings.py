"""The `[sessions]` section."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from opencraw.sessions.identity import Links
from opencraw.sessions.keys import DmScope
from opencraw.sessions.zones import find_zone
from opencraw.settings import Section

#: What ends a conversation.
Reset = Literal["none", "daily", "idle", "daily_or_idle"]
MINUTES_OF_A_YEAR = 366 * 24 * 60


class ResetRule(Section):
    """When some conversations begin anew; what it leaves out is as for all."""

    reset: Reset | None = None
    """Overrides sessions.reset."""

    at_hour: int | None = Field(default=None, ge=0, le=23)
    """Overrides sessions.reset_at_hour."""

    idle_minutes: float | None = Field(default=None, gt=0, le=MINUTES_OF_A_YEAR)
    """Overrides sessions.reset_idle_minutes."""


class ResetByType(Section):
    """When conversations begin anew, by who listens there."""

    direct: ResetRule = ResetRule()
    """Of one person with the assistant."""

    group: ResetRule = ResetRule()
    """Of several people."""

    channel: ResetRule = ResetRule()
    """Of whoever follows."""

    thread: ResetRule = ResetRule()
    """In a thread of any of these; comes before their own."""


class SessionsSettings(Section):
    """Who shares a conversation, when one begins anew, and for how long it is kept."""

    reset: Reset = "none"
    """When a conversation begins anew by itself, as if somebody had said /new before the next
    message: never (none), when a day has begun since it did (daily), when nobody wrote for long
    (idle), or whichever comes first (daily_or_idle). What timers and webhooks ask extends
    nothing."""

    reset_at_hour: int = Field(default=4, ge=0, le=23)
    """The hour at which a day begins."""

    reset_idle_minutes: float = Field(default=60, gt=0, le=MINUTES_OF_A_YEAR)
    """What is long for `idle`."""

    time_zone: str = ""
    """Where people live, as in Europe/Berlin; empty is the machine's. /timezone overrides it."""

    reset_by_type: ResetByType = ResetByType()
    """Overrides the above by who listens."""

    reset_by_channel: dict[str, ResetRule] = {}
    """Overrides all of the above for the conversations of a channel, by its name."""

    archive_after_days: int = Field(default=0, ge=0, le=36_500)
    """A conversation in which nothing happened for so many days is not listed any more, until
    the next message; 0 is never."""

    prune_after_days: int = Field(default=0, ge=0, le=36_500)
    """What was said in a conversation that was archived for so many days is removed for good;
    what memory keeps of it stays. 0 is never."""

    dm_scope: DmScope = "per-account-channel-peer"
    """Which direct chats of an owner are one conversation: each is its own
    (per-account-channel-peer), those on one channel are one (per-channel-peer), those of one person
    are, as identity_links says (per-peer), or all of all owners are (main). Guests, groups and
    channels are never joined."""

    identity_links: dict[str, list[str]] = {}
    """Which persons of several channels are one, by a name for each: anna = ["telegram:123456789",
    "email:anna@example.org"], every id once and as /whoami tells it."""

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name and find_zone(name) != name:
            raise ValueError(f'there is no time zone "{name}"; name one as in "Europe/Berlin"')
        return name

    @property
    def links(self) -> Links:
        """Who is who."""
        return Links(self.identity_links)

    @field_validator("identity_links")
    @classmethod
    def _are_links(cls, links: dict[str, list[str]]) -> dict[str, list[str]]:
        Links(links)
        return links
