"""What channels lose and repeat when the daemon is killed while it takes in a message."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import asyncpg

from bench.channels import CHANNELS, database_of, platform_of
from bench.figures import Figures, postgres_of
from channels.marks import RECOVERED
from opencraw.store.embedded import EmbeddedPostgres
from tests.channels.house import House, housed
from tests.fixtures.core import until

#: Their platforms take a message of ours once, by its key.
_KEYED = ("discord", "gmail", "http", "linear")
_KILLS = 50
_SEED = 5
#: How many daemons at a time.
_AT_A_TIME = 2

_HOLD = """
CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN NEW; END';
CREATE TRIGGER hold BEFORE INSERT ON inbox FOR EACH ROW EXECUTE FUNCTION hold();
"""
_WAITING = """
SELECT pid
  FROM pg_locks
 WHERE locktype = 'advisory' AND objid = 7 AND NOT granted
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class _Seen(NamedTuple):
    """What people see in the end, over all messages of one channel."""

    lost: int
    second_copies: int
    unmarked: int
    #: Of one answer.
    most: int


async def kills(folder: Path) -> Figures:
    """Kill the daemon between an event and its commit, while the answer before it is on its way,
    and count."""
    figures: Figures = {}
    seen: dict[str, _Seen] = {}
    places = asyncio.Semaphore(_AT_A_TIME)
    async with postgres_of(folder) as postgres:

        async def count(channel: str) -> None:
            async with places:
                seen[channel] = await _killed(channel, folder / channel, postgres)

        await asyncio.gather(*map(count, CHANNELS))
    for channel, each in sorted(seen.items()):
        figures[f"{channel}: lost of {_KILLS}"] = each.lost
        figures[f"{channel}: second copies"] = each.second_copies
        figures[f"{channel}: second copies that do not say so"] = each.unmarked
    keyed = [each for channel, each in seen.items() if channel in _KEYED]
    others = [each for channel, each in seen.items() if channel not in _KEYED]
    figures["channel_lost"] = sum(each.lost for each in seen.values())
    figures["channel_copies_keyed"] = sum(each.second_copies for each in keyed)
    figures["channel_copies"] = max((each.most for each in others), default=0)
    figures["channel_unmarked"] = sum(each.unmarked for each in others)
    return figures


class _Gate:
    """Between a message that is being stored and its commit."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def close(self) -> None:
        await self._connection.execute("SELECT pg_advisory_lock(7)")

    async def is_waited_at(self) -> bool:
        return bool(await self._connection.fetch(_WAITING))

    async def open(self, *, turn_away: bool) -> None:
        """Let those who wait commit, though nobody hears of it any more, or have them give up."""
        if turn_away:
            await self._connection.execute(
                f"SELECT pg_terminate_backend(pid) FROM ({_WAITING}) AS waiting"
            )
            await until(self._is_deserted, "nobody waits any more")
        await self._connection.execute("SELECT pg_advisory_unlock(7)")

    async def _is_deserted(self) -> bool:
        return not await self.is_waited_at()


@asynccontextmanager
async def _gate(url: str) -> AsyncIterator[_Gate]:
    connection = await asyncpg.connect(url)
    await connection.execute(_HOLD)
    try:
        yield _Gate(connection)
    finally:
        await connection.close()


async def _killed(channel: str, place: Path, postgres: EmbeddedPostgres) -> _Seen:
    place.mkdir()
    url = await database_of(postgres, channel)
    async with (
        platform_of(channel) as platform,
        housed(platform, place, url) as house,
        _gate(url) as gate,
    ):
        dice = random.Random(_SEED)
        for number in range(_KILLS):
            await house.begin()
            # No answer has to survive more than two kills, and there is always one on its way.
            if number >= 2:
                await house.sees(f"number-{number - 2}.")
            if number >= 1:
                await _is_committed(house, number - 1)
            await gate.close()
            await platform.says(f"[[say number-{number}.]]")
            await until(gate.is_waited_at, f"{channel} takes in message {number}")
            await asyncio.sleep(dice.random() * 0.05)
            await house.kill()
            await gate.open(turn_away=dice.random() < 0.5)
        await house.begin()
        await platform.says("[[say The end.]]")
        await house.sees("The end.")
        await house.at_rest()
        return _counted(platform.shown())


async def _is_committed(house: House, number: int) -> None:
    text = f"number-{number}."
    rows = "inbox WHERE text LIKE '%' || $1 || '%'"
    await until(partial(house.count, rows, text), f"{text} is committed")


def _counted(shown: Sequence[str]) -> _Seen:
    answers = [[text for text in shown if f"number-{number}." in text] for number in range(_KILLS)]
    return _Seen(
        lost=sum(not copies for copies in answers),
        second_copies=sum(len(copies[1:]) for copies in answers),
        unmarked=sum(RECOVERED not in copy for copies in answers for copy in copies[1:]),
        most=max(len(copies[1:]) for copies in answers),
    )
