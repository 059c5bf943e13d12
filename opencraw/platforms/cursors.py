"""How far channels have come in what their platforms hand out.

A cursor moves after everything up to there was accepted, and never decides what is new: the inbox
does. So one that falls back, because a late receiver moved it, costs a second look, nothing else.
"""

from __future__ import annotations

from opencraw.errors import Refused
from opencraw.store.database import Database
from opencraw.store.queries import load
from opencraw.store.text import storable

SQL = load("opencraw.platforms", "cursors.sql")

LONGEST_NAME = 512
LONGEST_VALUE = 64_000


class Cursors:
    """The positions of all channels."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def position(self, channel: str, account: str, name: str) -> str | None:
        """Where this cursor stands; None is nowhere yet."""
        records = await self._database.fetch(SQL.position, channel, account, name)
        return records[0]["value"] if records else None

    async def move(self, channel: str, account: str, name: str, value: str) -> None:
        """Put this cursor there; returns when that is durable."""
        names = channel + account + name
        if len(names) > LONGEST_NAME or len(value) > LONGEST_VALUE or _is_broken(names + value):
            raise Refused(
                f"The cursor {name!r} of channel {channel} cannot be kept: at most "
                f"{LONGEST_NAME:,} characters name it, and it has at most {LONGEST_VALUE:,}.",
                code="INVALID_FIELD",
            )
        await self._database.commit(SQL.move, (channel, account, name, value))


def _is_broken(text: str) -> bool:
    return storable(text) != text
