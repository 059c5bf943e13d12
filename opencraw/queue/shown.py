"""Which message of a platform shows a turn that runs. The turn's answer becomes that message."""

from __future__ import annotations

from uuid import UUID

from opencraw import crashpoints
from opencraw.contract import TurnShown
from opencraw.store.database import Database
from opencraw.store.queries import load
from opencraw.store.text import storable

SQL = load("opencraw.queue", "shown.sql")


class ShownTurns:
    """Turns, by the messages that show them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def shown(self, turn_id: UUID, platform_id: str | None) -> None:
        """Note the message that shows a turn, None before it is there; returns when that is
        durable."""
        if platform_id:
            crashpoints.reach("draft_before_record")
        noted = storable(platform_id) if platform_id is not None else None
        await self._database.commit(SQL.shown, (turn_id, noted))

    async def of(self, turn_id: UUID) -> TurnShown:
        """The message that shows a turn, and what that turn answers."""
        records = await self._database.fetch(SQL.draft_of, turn_id)
        if not records:
            return TurnShown()
        [record] = records
        return TurnShown(record["draft_id"], record["reply_context"])
