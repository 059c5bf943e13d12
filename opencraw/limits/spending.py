"""What the model calls of an agent may cost in a day, and did cost.

A call is entered with the most that it may cost before it is made, and corrected afterwards. So the
sum of a day is never less than what was spent, whoever dies in the middle of what: a call whose end
nobody saw keeps its estimate.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from opencraw.errors import FailureKind, ModelFailure
from opencraw.limits.tariff import Tariff, amount
from opencraw.model import Prompt, Usage
from opencraw.runtime.purse import Pay
from opencraw.store.database import Database
from opencraw.store.queries import load

SQL = load("opencraw.limits", "spending.sql")


@dataclass(frozen=True, slots=True)
class Admitted:
    """The call is entered."""


@dataclass(frozen=True, slots=True)
class NotOpen:
    """The day has no sum yet to add it to."""


@dataclass(frozen=True, slots=True)
class TooMuch:
    """So much is spent that the call might exceed the cap."""

    spent: int


Entry = Admitted | NotOpen | TooMuch


class Spending:
    """The sums of all agents under one cap per agent and day, shared by all nodes."""

    def __init__(self, database: Database, cap: int) -> None:
        self._database = database
        self.cap = cap

    async def enter(self, call: UUID, turn: UUID, most: int) -> None:
        """Enter a call of this turn, which may cost so much. Raises `ModelFailure` when that is
        more than is left today."""
        while True:
            match await self._try_to_enter(call, turn, most):
                case Admitted():
                    return
                case NotOpen():
                    await self._database.commit(SQL.open_day, (turn,))
                case TooMuch(spent):
                    words = self._refusal(spent, most, datetime.now(UTC))
                    raise ModelFailure(FailureKind.SPEND_CAP, words)

    async def _try_to_enter(self, call: UUID, turn: UUID, most: int) -> Entry:
        outcome = await self._ask_to_enter(call, turn, most)
        # Where the first answer was lost a refusal may be about money that is this call's own.
        if isinstance(outcome, TooMuch):
            outcome = await self._ask_to_enter(call, turn, most)
        return outcome

    async def _ask_to_enter(self, call: UUID, turn: UUID, most: int) -> Entry:
        record = await self._database.commit(SQL.enter_call, (call, turn, most, self.cap))
        assert record is not None, "a turn that runs is there"
        if record["admitted"]:
            return Admitted()
        return NotOpen() if record["spent"] is None else TooMuch(record["spent"])

    async def end(self, call: UUID, cost: int) -> None:
        """A call that was entered cost so much in the end."""
        await self._database.commit(SQL.end_call, (call, cost))

    async def today(self, tenant: str, agent: str, *, patience: float | None = None) -> int:
        """What an agent's calls of this day cost, those that are under way at their most."""
        records = await self._database.fetch(SQL.spent_today, tenant, agent, patience=patience)
        return records[0]["cost"] if records else 0

    def _refusal(self, spent: int, most: int, now: datetime) -> str:
        midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        hours, minutes = divmod(int((midnight - now).total_seconds()) // 60, 60)
        return (
            f"the models may cost {amount(self.cap)} a day, {amount(spent)} of that is spent, and "
            f"asking once more might cost {amount(most)}. The day ends at 00:00 UTC, in {hours} h "
            f"{minutes} min; until then /model may know a cheaper model, /new makes the question "
            "smaller, and the operator can raise limits.spend_per_day"
        )


class Purse:
    """Pays for the model calls of one turn; see `opencraw.runtime.purse`."""

    def __init__(self, spending: Spending, turn: UUID, tariff: Tariff) -> None:
        self._spending = spending
        self._turn = turn
        self._tariff = tariff

    async def admit(self, prompt: Prompt) -> Pay:
        call = uuid4()
        await self._spending.enter(call, self._turn, self._tariff.most(prompt))

        async def pay(usage: Usage) -> None:
            await self._spending.end(call, self._tariff.cost(usage))

        return pay
