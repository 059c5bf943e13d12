"""Which message of a platform shows a turn that runs. The turn's answer becomes that message."""

from __future__ import annotations

from uuid import UUID

from opencraw.contract import TurnShown
from opencraw.store.database import Database
from opencraw.store.queries import load
from opencraw.store.text import storable

SQL = load("opencraw.queue", "shown.sql")


class ShownTurns:
    """Turns, by the messages that show them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def shown(self, turn_id: UUID, platform_id: str) -> None:
        """Note the message that shows a turn; returns when that is durable."""
        await self._database.commit(SQL.shown, (turn_id, storable(platform_id)))

    async def of(self, turn_id: UUID) -> TurnShown:
        """The message that shows a turn, and what that turn answers."""
        records = await self._database.fetch(SQL.draft_of, turn_id)
        if not records:
            return TurnShown()
        [record] = records
        return TurnShown(record["draft_id"], record["reply_context"])
