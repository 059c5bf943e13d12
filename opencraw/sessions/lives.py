"""How conversations begin anew by themselves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID, uuid4

from msgspec.structs import astuple

from opencraw.contract import Address, Delivery, Line
from opencraw.sessions.reset import Kind, Policy, ResetRules, ended_by
from opencraw.store.database import Database
from opencraw.store.queries import load

SQL = load("opencraw.sessions", "lives.sql")


@dataclass(frozen=True, slots=True)
class _Life:
    """What decides about a conversation's end, as it was when somebody looked."""

    begun_at: datetime
    last_said_at: datetime
    last_seq: int
    #: Nothing was said since it began anew.
    is_fresh: bool
    time_zone: str | None
    now: datetime


@dataclass(frozen=True, slots=True)
class Checked:
    """A conversation is one that may go on. `told` is what people have to be told of the one before
    it, when that is over only now."""

    told: Delivery | None = None


class Lives:
    """Sees to it that what is over ends before the next turn begins."""

    def __init__(self, database: Database, rules: ResetRules) -> None:
        self._database = database
        self._rules = rules

    async def ended_in_time(
        self, session: UUID, address: Address, kind: Kind, waited: float
    ) -> Checked | None:
        """Have the conversation begin anew, with a notice to this address, if it was over when the
        message came that waited for so many seconds. None when something happened there meanwhile:
        look again, then begin a turn."""
        policy = self._rules.of(kind)
        if policy.reset == "none":
            return Checked()
        records = await self._database.fetch(SQL.life, session)
        if not records:
            return Checked()
        life = _Life(**records[0])
        came_at = life.now - timedelta(seconds=max(0.0, waited))
        zone = self._rules.zone(life.time_zone)
        why = ended_by(policy, life.begun_at, life.last_said_at, came_at, zone)
        if life.is_fresh or why is None:
            return Checked()
        notice, delivery_id = _notice(why, policy), uuid4()
        row = (
            session, life.begun_at, life.last_seq, life.now, delivery_id, notice, *astuple(address)
        )  # fmt: skip
        record = await self._database.commit(SQL.begin_anew, row)
        if record is None:
            return None
        line = Line(record["seq"], "notice", notice, record["created_at"], delivery_id)
        return Checked(told=Delivery(delivery_id, address, line))


def _notice(why: Literal["daily", "idle"], policy: Policy) -> str:
    """What people are told, who would wonder why the assistant knows nothing of before."""
    if why == "daily":
        cause = f"a day has ended (at {policy.at_hour:02}:00)"
    else:
        cause = f"nobody wrote for {_span(policy.idle)}"
    return (
        f"A new conversation begins here, because {cause}; the assistant no longer sees what was "
        "said before."
    )


def _span(silence: timedelta) -> str:
    minutes = int(silence.total_seconds() // 60)
    for unit, size in (("day", 24 * 60), ("hour", 60)):
        if minutes >= size and minutes % size == 0:
            return _counted(minutes // size, unit)
    return _counted(minutes, "minute")


def _counted(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number:,} {unit}s"
