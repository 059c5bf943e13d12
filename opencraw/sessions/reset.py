"""When a conversation begins anew by itself, decided from values alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal

from opencraw.sessions.settings import Reset, ResetRule, SessionsSettings
from opencraw.sessions.zones import machine_zone, zone_named

_DAILY = ("daily", "daily_or_idle")
_IDLE = ("idle", "daily_or_idle")


@dataclass(frozen=True, slots=True)
class Policy:
    """What ends a conversation: the end of its people's day, silence, or whichever comes first."""

    reset: Reset = "none"
    #: The day ends at this hour.
    at_hour: int = 4
    idle: timedelta = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Kind:
    """A conversation as rules see it."""

    channel: str
    #: None is not known.
    chat_type: str | None
    is_thread: bool


class ResetRules:
    """The policy of every conversation: its channel's, else its type's, else everybody's."""

    def __init__(self, settings: SessionsSettings | None = None) -> None:
        given = settings or SessionsSettings()
        self._zone = zone_named(given.time_zone) or machine_zone()
        self._everybody = Policy(
            given.reset, given.reset_at_hour, timedelta(minutes=given.reset_idle_minutes)
        )
        self._by_type = self._policies(dict(given.reset_by_type))
        self._by_channel = self._policies(given.reset_by_channel)

    def of(self, kind: Kind) -> Policy:
        """The policy of a conversation of this kind."""
        if kind.channel in self._by_channel:
            return self._by_channel[kind.channel]
        types = ("thread", kind.chat_type) if kind.is_thread else (kind.chat_type,)
        found = (self._by_type[each] for each in types if each in self._by_type)
        return next(found, self._everybody)

    def zone(self, chosen: str | None) -> tzinfo:
        """The clock of a conversation whose people chose this time zone, or none."""
        return (chosen and zone_named(chosen)) or self._zone

    def _policies(self, rules: Mapping[str, ResetRule]) -> dict[str, Policy]:
        return {name: self._policy(rule) for name, rule in rules.items() if rule != ResetRule()}

    def _policy(self, rule: ResetRule) -> Policy:
        everybody = self._everybody
        return Policy(
            rule.reset or everybody.reset,
            everybody.at_hour if rule.at_hour is None else rule.at_hour,
            everybody.idle
            if rule.idle_minutes is None
            else timedelta(minutes=rule.idle_minutes),
        )  # fmt: skip


def ended_by(
    policy: Policy, begun_at: datetime, last_said_at: datetime, now: datetime, zone: tzinfo
) -> Literal["daily", "idle"] | None:
    """What has ended the conversation that began at `begun_at`, and where a person last wrote at
    `last_said_at`, when the next message comes `now`; None: it goes on. All moments know their time
    zone."""
    if policy.reset in _DAILY and begun_at < _day_began(policy.at_hour, now, zone):
        return "daily"
    # One that began anew for a timer's sake gets its time, too.
    silent_since = max(begun_at, last_said_at)
    return "idle" if policy.reset in _IDLE and now - silent_since >= policy.idle else None


def _day_began(hour: int, now: datetime, zone: tzinfo) -> datetime:
    """When the day began in which `now` lies. An hour that the clock skips is the moment at which
    it does, and of one that it shows twice the first counts."""
    local = now.astimezone(zone)
    began = local.replace(hour=hour, minute=0, second=0, microsecond=0, fold=0)
    # Moments of one zone are compared by what the clock shows, which may go back.
    if began.astimezone(UTC) > now.astimezone(UTC):
        began -= timedelta(days=1)
    return began.astimezone(UTC)
