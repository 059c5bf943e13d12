"""Questions that people answer by choosing, with a button or by typing.

What is asked about is a row of the kind's own table, and that row is the truth: a kind decides it
once, however often and from wherever it is told to. Here is what was asked, and what to show when
it is decided.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import msgspec

from opencraw.contract import DEFAULT_TENANT, Address, Choice, Option
from opencraw.errors import NotFound, Refused
from opencraw.store.database import Database, Record
from opencraw.store.queries import load

SQL = load("opencraw.access", "choices.sql")

_options = msgspec.json.Decoder(tuple[Option, ...])


@dataclass(frozen=True, slots=True)
class Decided:
    """What is the case about a subject."""

    option: str
    #: As the question ends from now on: `Status: approved`.
    status: str
    by: str
    #: For the person who chose.
    text: str
    #: It was this choice that decided; otherwise it came too late.
    now: bool


#: Carries out an option about a subject, chosen by somebody (`channel:sender`). Doing it again
#: changes nothing and says how it was decided.
Kind = Callable[[UUID, str, str], Awaitable[Decided]]


@dataclass(frozen=True, slots=True)
class Asked:
    """One question as it stands."""

    kind: str
    subject: UUID
    options: tuple[Option, ...]
    is_over: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """A message on a platform that asks, and what it says by now."""

    choice: UUID
    address: Address
    platform_id: str
    text: str


class Choices:
    """The verbs of questions. `kinds` are who carries out what, by name."""

    def __init__(self, database: Database, kinds: Mapping[str, Kind]) -> None:
        self._database = database
        self._kinds = kinds

    async def ask(self, choice: Choice, kind: str, subject: UUID, seconds: float) -> None:
        """Put a question on record, open for so many seconds. The same id is the same question."""
        options = msgspec.json.encode(choice.options).decode()
        row = (choice.id, DEFAULT_TENANT, kind, subject, options, seconds)
        await self._database.commit(SQL.ask, row)

    async def is_posted(self, choice: UUID) -> bool:
        """Whether a message asks this already."""
        [record] = await self._database.fetch(SQL.is_posted, choice)
        return bool(record["posted"])

    async def choose(self, choice: UUID, option: str, by: str) -> Decided:
        """Carry out what somebody chose who may; returns what is the case now. Raises `Refused` for
        what is over, or was never asked."""
        asked = await self._asked(choice)
        if option not in {each.name for each in asked.options}:
            raise Refused("This was not among the answers.", code="INVALID_FIELD")
        if asked.is_over:
            raise Refused(
                "This question is over: nobody answered it in time. Nothing was changed.",
                code="CONFLICT_ERROR",
            )
        decided = await self._kinds[asked.kind](asked.subject, option, by)
        await self.settle(asked.subject, decided)
        return decided

    async def settle(self, subject: UUID, decided: Decided) -> None:
        """Note what was decided about a subject, also where nobody pressed a button."""
        row = (subject, decided.option, decided.by, decided.status)
        await self._database.commit(SQL.settle, row)

    async def unshown(self) -> Sequence[Shown]:
        """The messages that asked what is decided by now and may not show it yet, where a platform
        has names for them."""
        return [
            Shown(record["id"], _address(record), record["platform_id"], record["text"])
            for record in await self._database.fetch(SQL.unshown)
        ]

    async def shown(self, choice: UUID) -> None:
        """The message that asked this shows what was decided, or never will."""
        await self._database.commit(SQL.shown, (choice,))

    async def _asked(self, choice: UUID) -> Asked:
        records = await self._database.fetch(SQL.choice, choice)
        if not records or records[0]["kind"] not in self._kinds:
            raise NotFound("Nobody asks this any more.")
        record = records[0]
        # What was decided is answered by its kind, which knows by whom.
        is_over = record["is_over"] and record["decided"] is None
        options = _options.decode(record["options"])
        return Asked(record["kind"], record["subject"], options, is_over)


def _address(record: Record) -> Address:
    return Address(record["channel"], record["account"], record["chat"], record["thread"])
