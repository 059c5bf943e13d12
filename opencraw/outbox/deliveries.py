"""Deliveries as an operator sees them: what is on its way, and what could not be delivered."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID, uuid4

from opencraw.errors import NotFound, Refused
from opencraw.store.database import Database
from opencraw.store.queries import load

SQL = load("opencraw.outbox", "deliveries.sql")

PATIENCE_SECONDS = 8.0
#: A delivery that fails and goes out within so long is nothing to worry about.
LATE_SECONDS = 60.0
_HEX_DIGITS = 32
_SHORTEST = 8
_NAME = re.compile(rf"[0-9a-f]{{{_SHORTEST},{_HEX_DIGITS}}}")

#: What can be asked for. A dead letter that was dropped is dead, and nobody wants to hear of it.
Which = Literal["dead", "dropped", "open", "sent"]


@dataclass(frozen=True, slots=True)
class Undelivered:
    """How many deliveries were given up, and how many are tried in vain for a while by now."""

    dead: int = 0
    late: int = 0

    @property
    def problem(self) -> str | None:
        """What is to be said of them and done about them, if there are any."""
        problems = []
        if self.dead:
            problems.append(
                f"{_deliveries(self.dead)} could not be sent. `opencraw deliveries list` says why; "
                "retry or drop them."
            )
        if self.late:
            problems.append(
                f"{_deliveries(self.late)} cannot be sent at the moment; we go on trying. "
                "`opencraw deliveries list --state open` says why."
            )
        return " ".join(problems) or None


class Deliveries:
    """Lists deliveries and, by an operator's word, tries them again or gives them up."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def listed(
        self, which: Which, channel: str | None, limit: int
    ) -> Sequence[Mapping[str, object]]:
        """The newest deliveries of this kind, newest first."""
        records = await self._database.fetch(
            SQL.listed, which, channel, limit, patience=PATIENCE_SECONDS
        )
        return [dict(record) for record in records]

    async def undelivered(self) -> Undelivered:
        """What an operator has to look at."""
        [record] = await self._database.fetch(
            SQL.undelivered, LATE_SECONDS, patience=PATIENCE_SECONDS
        )
        return Undelivered(**record)

    async def retry(self, name: str) -> UUID:
        """Try a dead letter again, behind those of its parts that are there. Returns its id."""
        delivery = await self._named(name)
        row = (delivery, uuid4())
        record = await self._database.commit(SQL.retry, row, patience=PATIENCE_SECONDS)
        if record is None or not record["waits"]:
            raise Refused(
                f"The delivery {delivery} is no dead letter: it "
                f"{_is(record['state'] if record else 'gone')}. Nothing was changed.",
                code="CONFLICT_ERROR",
            )
        return delivery

    async def drop(self, name: str) -> UUID:
        """Give a delivery up for good, or speak no more of one that is dead. Returns its id."""
        delivery = await self._named(name)
        record = await self._database.commit(SQL.drop, (delivery,), patience=PATIENCE_SECONDS)
        if record is None or not record["dropped"]:
            raise Refused(
                f"The delivery {delivery} cannot be dropped: it "
                f"{_is(record['state'] if record else 'gone')}. Nothing was changed.",
                code="CONFLICT_ERROR",
            )
        return delivery

    async def _named(self, name: str) -> UUID:
        """The delivery with this id, or with one that begins so."""
        digits = name.strip().casefold().replace("-", "")
        if _NAME.fullmatch(digits) is None:
            raise Refused(
                f"{name[:80]!r} is no id of a delivery: that, or its beginning, has {_SHORTEST} to "
                f"{_HEX_DIGITS} of the characters 0-9 and a-f. `opencraw deliveries list` shows "
                "them.",
                code="INVALID_FIELD",
            )
        ends = (UUID(digits.ljust(_HEX_DIGITS, end)) for end in "0f")
        found = await self._database.fetch(SQL.named, *ends, patience=PATIENCE_SECONDS)
        if not found:
            raise NotFound(
                f"No delivery has an id that begins with {name[:80]}. `opencraw deliveries list` "
                "shows them."
            )
        if len(found) > 1:
            raise Refused(
                f"Several deliveries begin with {name[:80]}. Nothing was changed. Give more of "
                "the id.",
                code="INVALID_FIELD",
            )
        known: UUID = found[0]["delivery_id"]
        return known


def _deliveries(count: int) -> str:
    return f"{count} delivery" if count == 1 else f"{count} deliveries"


def _is(state: str) -> str:
    words = {
        "pending": "is still being tried",
        "sending": "is on its way at this moment",
        "sent": "was sent",
    }
    return words.get(state, "is not there any more")
