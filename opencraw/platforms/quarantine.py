"""Events that no channel understood, for whoever mends the channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from opencraw.store.database import Database
from opencraw.store.queries import load
from opencraw.store.text import storable

SQL = load("opencraw.platforms", "quarantine.sql")

#: So many of each channel are kept, the newest ones.
MOST_KEPT = 1_000
LONGEST_PAYLOAD = 64_000
LONGEST_PROBLEM = 1_000


@dataclass(frozen=True, slots=True)
class PutAside:
    """One event that nobody understood."""

    id: int
    account: str
    payload: str
    problem: str
    received_at: datetime


class Quarantine:
    """What was put aside, by channel."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put_aside(self, channel: str, account: str, payload: str, problem: str) -> None:
        """Keep one event, cut to what can be kept."""
        row = (
            storable(channel),
            storable(account),
            storable(payload[:LONGEST_PAYLOAD]),
            storable(problem[:LONGEST_PROBLEM]),
            MOST_KEPT,
        )
        await self._database.commit(SQL.put_aside, row)

    async def newest(self, channel: str, limit: int) -> Sequence[PutAside]:
        """The `limit` events that were put aside last, newest first."""
        return [PutAside(**row) for row in await self._database.fetch(SQL.newest, channel, limit)]
