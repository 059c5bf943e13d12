"""How conversations begin anew by themselves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from opencraw.sessions.reset import Kind, ResetRules, expired
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


class Lives:
    """Sees to it that what is over ends before the next turn begins."""

    def __init__(self, database: Database, rules: ResetRules) -> None:
        self._database = database
        self._rules = rules

    async def ended_in_time(self, session: UUID, kind: Kind, waited: float) -> bool:
        """Have the conversation begin anew if it was over when the message came that waited for so
        many seconds. False when something happened there meanwhile: look again, then begin a turn.
        """
        policy = self._rules.of(kind)
        if policy.reset == "none":
            return True
        records = await self._database.fetch(SQL.life, session)
        if not records:
            return True
        life = _Life(**records[0])
        came_at = life.now - timedelta(seconds=max(0.0, waited))
        zone = self._rules.zone(life.time_zone)
        if life.is_fresh or not expired(policy, life.begun_at, life.last_said_at, came_at, zone):
            return True
        row = (session, life.begun_at, life.last_seq, life.now)
        return await self._database.commit(SQL.begin_anew, row) is not None
