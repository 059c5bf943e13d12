"""Random deaths while many talk, and the count of what they cost.

A storm of half a minute is part of the suite; a longer one is the same function with other numbers.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from dataclasses import dataclass, field

from opencraw.settings import Mode
from tests.fixtures.daemon import Daemon
from tests.fixtures.ledgers import Damage, is_question
from tests.fixtures.webchat_client import Tab
from tests.scenarios.world import World

#: So many answers may be owed to one chat; a person would have given up long before.
MOST_OWED = 20
#: What a message may ask for. `{line}` is its own name.
WORDS = (
    "",
    "[[words 10]]",
    "[[words 40]] [[delay 0.005]]",
    '[[tool append_line {{"line": "{line}"}}]]',
    '[[tool append_line {{"line": "{line}", "seconds": 0.2}}]] [[words 5]]',
    '[[tool look_slowly {{"line": "{line}", "seconds": 0.1}}]]',
    '[[tool calculate {{"expression": "6*7"}}]] [[next]] [[tool append_line {{"line": "{line}"}}]]',
)
MODES: tuple[Mode, ...] = ("followup", "followup", "collect", "steer", "interrupt")


@dataclass
class Report:
    """What a storm did, and what it cost."""

    seed: int
    kills: int = 0
    said: int = 0
    #: Seconds from a start to `ready`, of every start.
    starts: list[float] = field(default_factory=list)
    damage: Damage = field(default_factory=Damage)

    def table(self) -> str:
        worst = max(self.starts, default=0.0)
        return (
            f"         seed {self.seed}\n        kills {self.kills}\n         said {self.said}\n"
            f"  worst start {worst:.2f} s\n{self.damage.table()}"
        )


async def storm(
    world: World, *, seed: int, seconds: float, kills: int = 0, chats: int = 10
) -> Report:
    """Talk and kill for `seconds`, and until there were `kills`; then wait for rest, and count.

    Raises with the seed in its words when anything was lost, doubled or out of order.
    """
    dice = random.Random(seed)
    report = Report(seed)
    daemon = world.daemon()
    report.starts.append(await daemon.start())
    over = asyncio.Event()
    try:
        async with asyncio.TaskGroup() as tasks:
            for number in range(chats):
                mode = MODES[number % len(MODES)]
                tab = await world.tab(f"{mode}{number}")
                talk = _talk(world, tab, mode, random.Random(dice.random()), over)
                tasks.create_task(talk)
            await _kill(daemon, dice, report, until=time.monotonic() + seconds, kills=kills)
            over.set()
        report.said = sum(len(tab.typed) for tab in world.tabs)
        interrupted = {tab.chat for tab in world.tabs if "interrupt" in tab.chat}
        report.damage = await world.all_is_well(newest_counts=interrupted)
    except BaseException as trouble:
        trouble.add_note(f"this storm's seed is {seed}\n{report.table()}")
        raise
    return report


async def _talk(
    world: World, tab: Tab, mode: Mode, dice: random.Random, over: asyncio.Event
) -> None:
    """One person, who does not know what the daemon is going through."""
    tab.say(f"/queue {mode}", f"{tab.chat}-mode")
    await tab.acknowledged(f"{tab.chat}-mode")
    while not over.is_set():
        words = dice.choice(WORDS)
        name = world.next_name(tab)
        world.say(tab, words.format(line=name))
        typed = [each for each in tab.typed if is_question(each)]
        if mode == "interrupt":
            await tab.acknowledged(*typed[:-MOST_OWED])
        else:
            await tab.answered(*typed[:-MOST_OWED])
        with suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), dice.uniform(0.0, 0.6))


async def _kill(
    daemon: Daemon, dice: random.Random, report: Report, *, until: float, kills: int
) -> None:
    """Death at random moments: mostly of a working daemon, sometimes of one that starts."""
    while time.monotonic() < until or report.kills < kills:
        await asyncio.sleep(dice.uniform(0.2, 0.7))
        await daemon.kill()
        report.kills += 1
        if dice.random() < 0.2:
            await daemon.spawn()
            await asyncio.sleep(dice.uniform(0.0, 0.5))
            await daemon.kill()
            report.kills += 1
        report.starts.append(await daemon.start())
