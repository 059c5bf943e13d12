"""Storm after storm over a real daemon, and one table of what they cost.

    make soak                                        all storms, about two minutes
    make soak ARGS="--storms kills --minutes 5"      one alone
    make soak ARGS="--storms kills+ambiguous,pause"  two at once, then another
    make soak ARGS="--full"                          the gate: 200 kills, 10,000 messages, …

Every message, answer, model call and tool effect is counted by ledgers outside the daemon. Exits
with 1 when anything was lost, stuck, silently doubled, overlapping or out of order. The same seed
rolls the same dice; what the machine makes of them differs.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import asyncpg

from bench.soak import people
from bench.soak.report import verdict
from bench.soak.scene import Outcome, Scene, scene
from bench.soak.storms import STORMS, Storm
from opencraw.store.embedded import EmbeddedPostgres
from opencraw.store.settings import DatabaseSettings
from tests.fixtures.database import in_database
from tests.scenarios.world import Model, running_model


@dataclass(frozen=True)
class Act:
    """Some storms at once, for so long, and until there were so many kills and messages."""

    name: str
    storms: Sequence[Storm]
    seconds: float
    kills: int = 0
    messages: int = 0


#: What has to pass before a release.
FULL = (
    Act("kills", [STORMS["kills"]], 0.0, kills=200, messages=10_000),
    Act("postgres", [STORMS["postgres"]], 90.0),
    Act("pause", [STORMS["pause"]], 90.0),
    Act("ambiguous", [STORMS["ambiguous"]], 60.0, messages=2_000),
    Act("slow", [STORMS["slow"]], 60.0),
    Act("kills+ambiguous", [STORMS["kills"], STORMS["ambiguous"]], 60.0, kills=50),
    Act("redis", [STORMS["redis"]], 60.0),
    Act("flood", [replace(STORMS["flood"], flood=10_000)], 0.0),
    Act("lanes", [replace(STORMS["lanes"], lanes=1_000)], 0.0),
)


async def play(
    act: Act, seed: int, folder: Path, model: Model, server: EmbeddedPostgres
) -> Outcome:
    """One act from its first daemon to the count."""
    url = await _new_database(server, f"act_{folder.name}")
    began = time.monotonic()
    with_redis = any(storm.with_redis for storm in act.storms)
    async with scene(
        act.name, seed, folder, model=model, server=server, url=url, with_redis=with_redis
    ) as opened:
        try:
            rates = {name: rate for storm in act.storms for name, rate in storm.rates.items()}
            await opened.platform.control(seed=seed, rates=rates)
            await opened.open(max(storm.daemons for storm in act.storms))
            await _storm(act, opened)
            await opened.calm()
            outcome = await opened.count(began)
        except Exception as trouble:
            trouble.add_note(opened.world.logs())
            raise
        if outcome.broken:
            outcome.broken.append(opened.world.logs())
        return outcome


async def _storm(act: Act, opened: Scene) -> None:
    """Talk and strike for as long as the act says, and as often."""
    until = time.monotonic() + act.seconds
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(opened.watch_memory())
        crowds = [
            tasks.create_task(crowd)
            for storm in act.storms
            for crowd in (
                *([people.flood(opened, storm.flood)] if storm.flood else []),
                *([people.lanes(opened, storm.lanes)] if storm.lanes else []),
            )
        ]
        if not crowds:
            tasks.create_task(people.chatter(opened))
        for storm in act.storms:
            if storm.disaster is not None:
                tasks.create_task(storm.disaster(opened))
        await asyncio.gather(*crowds)
        while time.monotonic() < until or not await _enough(act, opened):
            await asyncio.sleep(0.2)
        opened.over.set()


async def _enough(act: Act, opened: Scene) -> bool:
    counts = await opened.platform.counts()
    return len(opened.killed_at) >= act.kills and counts["said"] >= act.messages


async def _new_database(server: EmbeddedPostgres, name: str) -> str:
    connection = await asyncpg.connect(server.url)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()
    return in_database(server.url, name)


async def soak(acts: Sequence[Act], seed: int, keep: Path | None) -> int:
    """Play all acts on one server of their own; returns the exit code."""
    folder = Path(tempfile.mkdtemp(prefix="soak-", dir="/tmp"))
    folder.chmod(0o755)  # the database's user must pass when we are root
    (folder / "server").mkdir(mode=0o755)
    outcomes = []
    try:
        async with (
            running_model(folder) as model,
            EmbeddedPostgres(folder / "server", DatabaseSettings()) as server,
        ):
            watching = asyncio.create_task(server.watch())
            for number, act in enumerate(acts):
                print(f"{act.name} …", file=sys.stderr, flush=True)
                outcome = await _played(act, seed, folder / str(number), model, server)
                outcomes.append(outcome)
                print(*outcome.broken, sep="\n", end="\n" if outcome.broken else "", flush=True)
            watching.cancel()
    finally:
        if keep is not None:
            shutil.copytree(
                folder, keep, ignore=shutil.ignore_patterns("server"), dirs_exist_ok=True
            )
        shutil.rmtree(folder, ignore_errors=True)
    print(verdict(outcomes, seed))
    return 1 if any(each.broken for each in outcomes) else 0


async def _played(
    act: Act, seed: int, folder: Path, model: Model, server: EmbeddedPostgres
) -> Outcome:
    try:
        return await play(act, seed, folder, model, server)
    except Exception as trouble:  # noqa: BLE001 - whatever it is, it is this act's result
        notes = getattr(trouble, "__notes__", [])
        return Outcome(act.name, broken=[f"{act.name}: {trouble!r}", *notes])


def chosen_acts(storms: str, minutes: float) -> list[Act]:
    """`a,b+c`: first a, then b and c at once; all together take so long."""
    names = storms.split(",")
    share = minutes * 60 / len(names)
    return [Act(name, [STORMS[each] for each in name.split("+")], share) for name in names]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="make soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=1.2, help="of storm, all acts together")
    parser.add_argument("--storms", default=",".join(STORMS), help=f"of: {', '.join(STORMS)}")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--full", action="store_true", help="the gate; about fifteen minutes")
    parser.add_argument("--keep", type=Path, help="copy ledgers and logs to this folder")
    chosen = parser.parse_args()
    unknown = set(chosen.storms.replace("+", ",").split(",")) - set(STORMS)
    if unknown:
        parser.error(
            f"there is no storm {', '.join(sorted(unknown))}; there are {', '.join(STORMS)}"
        )
    acts = FULL if chosen.full else chosen_acts(chosen.storms, chosen.minutes)
    return asyncio.run(soak(acts, chosen.seed, chosen.keep))


if __name__ == "__main__":
    sys.exit(main())
