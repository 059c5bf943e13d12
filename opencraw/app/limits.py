"""The limits of the configuration, at work."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from opencraw.config import Configuration
from opencraw.contract import DEFAULT_TENANT
from opencraw.errors import Unavailable
from opencraw.gateway.limits import Limits
from opencraw.hooks import Hooks
from opencraw.limits.rates import Rates
from opencraw.limits.spending import Purse, Spending
from opencraw.limits.tariff import MILLION, Tariff
from opencraw.queue.turns import Turn
from opencraw.sessions.keys import AGENT
from opencraw.sessions.send_policy import SendPolicy
from opencraw.store.database import Database

_PATIENCE_SECONDS = 2.0


def open_limits(
    configuration: Configuration,
    database: Database,
    hooks: Hooks,
    *,
    tell_others: Callable[[str], None] | None = None,
) -> Limits:
    """What the door and the outbox hold people and the assistant to."""
    given = configuration.limits
    own = {name: each.messages_per_minute for name, each in configuration.channels.items()}
    cap = max(1, round(given.spend_per_day * MILLION)) if given.spend_per_day else 0
    return Limits(
        rates=Rates(
            given.messages_per_minute,
            own={name: rate for name, rate in own.items() if rate is not None},
            tell_others=tell_others,
        ),
        speech=SendPolicy(configuration.queue.send_policy),
        spending=Spending(database, cap) if cap else None,
        hooks=hooks,
    )


class Purses:
    """Who pays for each turn: nobody without a cap, nor for a model that costs nothing."""

    def __init__(self, configuration: Configuration, spending: Spending | None) -> None:
        self._spending = spending
        self._tariffs = {
            profile.label: Tariff.of(profile) for profile in configuration.llm.profiles.values()
        }

    def __call__(self, turn: Turn) -> Purse | None:
        tariff = self._tariffs.get(turn.model)
        if self._spending is None or tariff is None or tariff.is_free:
            return None
        return Purse(self._spending, turn.id, tariff)


async def spending_status(spending: Spending | None) -> Mapping[str, float | None]:
    """The day's spending for an operator; null where there is no cap, or nobody knows just now."""
    if spending is None:
        return {"spend_today": None, "spend_per_day": None}
    try:
        spent = await spending.today(DEFAULT_TENANT, AGENT, patience=_PATIENCE_SECONDS)
    except Unavailable:
        return {"spend_today": None, "spend_per_day": spending.cap / MILLION}
    return {"spend_today": spent / MILLION, "spend_per_day": spending.cap / MILLION}
