"""What people think of an answer, by the emoji that they put to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from opencraw.contract import ChatType, Reaction
from opencraw.platforms.verdicts import verdict
from opencraw.store.database import Database
from opencraw.store.queries import load
from opencraw.store.text import storable

SQL = load("opencraw.platforms", "reactions.sql")

#: In characters: a family with all its decorations has twelve. Where people make their own, those
#: have a name and an id.
LONGEST_EMOJI = 100


@dataclass(frozen=True, slots=True)
class About:
    """The delivery that somebody reacted to."""

    delivery_id: UUID
    tenant: str
    #: Who listens there.
    chat_type: ChatType


class Reactions:
    """Finds what a reaction is about, and notes it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def about(self, reaction: Reaction) -> About | None:
        """Which delivery of ours the message is a part of; None is none."""
        where = reaction.address
        names = (where.channel, where.account, where.chat, reaction.platform_id)
        records = await self._database.fetch(SQL.about, *map(storable, names))
        if not records:
            return None
        [record] = records
        return About(
            record["delivery_id"], record["tenant"], ChatType(record["chat_type"] or "direct")
        )

    async def note(self, reaction: Reaction, about: About) -> None:
        """Write down that the emoji was put there, or taken away."""
        emoji = storable(reaction.emoji[:LONGEST_EMOJI])
        says = verdict(emoji) if reaction.added else None
        row = (about.delivery_id, storable(reaction.sender.id), emoji, says)
        await self._database.commit(SQL.note, row)

    async def of_turn(self, turn_id: UUID) -> Sequence[tuple[str, int]]:
        """The emoji that people put to a turn's answers and what each says, oldest first."""
        records = await self._database.fetch(SQL.of_turn, turn_id)
        return [(record["emoji"], record["verdict"]) for record in records]
