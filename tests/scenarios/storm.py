"""Random disasters while many talk, and the count of what they cost.

A storm of half a minute is part of the suite; a longer one is the same function with other numbers.
Deaths of the daemon hide what database trouble breaks, because a new process takes everything up
again. So each kind of storm also runs alone, and every storm ends with a daemon that lives.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from opencraw.settings import Mode
from tests.fixtures.daemon import Daemon
from tests.fixtures.ledgers import Damage, is_question
from tests.fixtures.webchat_client import Tab
from tests.scenarios.world import World, postmaster

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

#: Every message has to be answered one by one: none may give up its place.
ONE_BY_ONE = 'cap = 1000\ndrop = "block"'

Strike = Callable[["Weather"], Awaitable[None]]


@dataclass
class Weather:
    """A storm as it goes: what it hits, what it has done so far, and what that cost."""

    seed: int
    daemon: Daemon
    dice: random.Random
    kills: int = 0
    said: int = 0
    #: Seconds from a start to `ready`, of every start.
    starts: list[float] = field(default_factory=list)
    damage: Damage = field(default_factory=Damage)

    def table(self) -> str:
        worst = max(self.starts, default=0.0)
        return (
            f"         seed {self.seed}\n        kills {self.kills}\n"
            f"         said {self.said}\n  worst start {worst:.2f} s\n{self.damage.table()}"
        )


async def kill_the_daemon(weather: Weather) -> None:
    """Mostly of one that works, sometimes of one that is just starting."""
    await asyncio.sleep(weather.dice.uniform(0.2, 0.7))
    await weather.daemon.kill()
    weather.kills += 1
    if weather.dice.random() < 0.2:
        await weather.daemon.spawn()
        await asyncio.sleep(weather.dice.uniform(0.0, 0.5))
        await weather.daemon.kill()
        weather.kills += 1
    weather.starts.append(await weather.daemon.start())


async def crash_the_database(weather: Weather) -> None:
    """The server dies under a daemon that lives on; only for a daemon with a server of its own."""
    await asyncio.sleep(weather.dice.uniform(0.3, 2.0))
    with suppress(OSError, ValueError, IndexError):  # it is not back yet
        sign = weather.dice.choice((signal.SIGQUIT, signal.SIGKILL))
        os.kill(postmaster(weather.daemon), sign)
        weather.kills += 1


async def do_both(weather: Weather) -> None:
    """One or the other, as it comes."""
    await weather.dice.choice((kill_the_daemon, crash_the_database))(weather)


async def storm(
    world: World,
    strike: Strike = kill_the_daemon,
    *,
    seed: int,
    seconds: float,
    kills: int = 0,
    chats: int = 10,
) -> Weather:
    """Talk and strike for `seconds`, and until there were `kills`; then wait for rest, and count.

    Raises with the seed in its words when anything was lost, doubled or out of order.
    """
    daemon = world.daemon(queue=ONE_BY_ONE)
    weather = Weather(seed, daemon, random.Random(seed))
    weather.starts.append(await daemon.start())
    until, over = time.monotonic() + seconds, asyncio.Event()
    try:
        async with asyncio.TaskGroup() as tasks:
            for number in range(chats):
                mode = MODES[number % len(MODES)]
                tab = await world.tab(f"{mode}{number}")
                dice = random.Random(weather.dice.random())
                tasks.create_task(talk(world, tab, mode, dice, over))
            while time.monotonic() < until or weather.kills < kills:
                await strike(weather)
            over.set()
        weather.said = sum(len(tab.typed) for tab in world.tabs)
        interrupted = {tab.chat for tab in world.tabs if "interrupt" in tab.chat}
        weather.damage = await world.all_is_well(newest_counts=interrupted)
    except BaseException as trouble:
        trouble.add_note(f"this storm:\n{weather.table()}")
        raise
    return weather


async def talk(
    world: World,
    tab: Tab,
    mode: Mode,
    dice: random.Random,
    over: asyncio.Event,
    most_owed: int = MOST_OWED,
) -> None:
    """One person, who does not know what the daemon is going through."""
    tab.say(f"/queue {mode}", f"{tab.chat}-mode")
    await tab.acknowledged(f"{tab.chat}-mode")
    while not over.is_set():
        world.say(tab, dice.choice(WORDS).format(line=world.next_name(tab)))
        owed = [each for each in tab.typed if is_question(each)][:-most_owed]
        await (tab.acknowledged(*owed) if mode == "interrupt" else tab.answered(*owed))
        with suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), dice.uniform(0.0, 0.6))
