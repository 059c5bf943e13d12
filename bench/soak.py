"""A long storm: kill the daemon at random while many talk, and count what it cost.

    python -m bench.soak --seconds 600 --kills 200 --chats 10 --seed 1

Every message, answer, model call and tool effect is counted by ledgers outside the daemon. Prints
one table; exits with 1 when anything was lost, doubled, overlapping or out of order.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path

from tests.scenarios.storm import storm
from tests.scenarios.world import World, running_model


async def soak(*, seconds: float, kills: int, chats: int, seed: int) -> int:
    """Run one storm on an embedded database; returns the exit code."""
    with tempfile.TemporaryDirectory(prefix="soak-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # the database's user must pass when we are root
        async with running_model(folder) as model, World(folder, model, None) as world:
            try:
                report = await storm(world, seed=seed, seconds=seconds, kills=kills, chats=chats)
            except Exception as trouble:  # noqa: BLE001 - whatever it is, it is the result
                print(f"{type(trouble).__name__}: {trouble}", *trouble.__notes__, sep="\n")
                return 1
            print(report.table())
            print("passed: nothing accepted was lost, doubled, overlapping or out of order")
            print("(unknown: ids that were answered with a notice of failure, after five deaths)")
            return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--kills", type=int, default=200, help="at least so many")
    parser.add_argument("--chats", type=int, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    chosen = parser.parse_args()
    return asyncio.run(
        soak(seconds=chosen.seconds, kills=chosen.kills, chats=chosen.chats, seed=chosen.seed)
    )


if __name__ == "__main__":
    sys.exit(main())
