"""Who talks while a storm goes on. Nobody knows what the daemon is going through."""

from __future__ import annotations

import asyncio
import random
import time

from bench.soak.scene import Scene
from tests.fixtures.webchat_client import Tab
from tests.scenarios.storm import MODES, WORDS, talk

CHATS = 12
TABS = 5
#: A person at a tab waits when so many answers are missing. All of them may become one turn, which
#: must be short enough to end between two kills.
TAB_OWED = 5
#: So many messages may wait for their answers on the platform; then people are patient for a bit.
MOST_OWED = 150
_BATCH = 500


async def chatter(scene: Scene) -> None:
    """Many chats on the platform, and tabs in every mode, until the storm is over."""
    async with asyncio.TaskGroup() as tasks:
        for number in range(CHATS):
            dice = random.Random(scene.dice.random())
            tasks.create_task(_chat(scene, f"chat{number}", dice))
        for number in range(TABS):
            mode = MODES[number % len(MODES)]
            tab = await scene.world.tab(f"{mode}{number}", *scene.daemons)
            if mode == "interrupt":
                scene.interrupted.add(tab.chat)
            dice = random.Random(scene.dice.random())
            tasks.create_task(talk(scene.world, tab, mode, dice, scene.over, TAB_OWED))


async def _chat(scene: Scene, chat: str, dice: random.Random) -> None:
    while not scene.over.is_set():
        line = scene.platform.next_name(chat)
        await scene.platform.say(chat, dice.choice(WORDS).format(line=line))
        counts = await scene.platform.counts()
        while counts["said"] - counts["shown"] > MOST_OWED and not scene.over.is_set():
            await scene.pause(0.2)
            counts = await scene.platform.counts()
        await scene.pause(dice.uniform(0.0, 0.3))


async def flood(scene: Scene, messages: int) -> None:
    """One chat is written to without end while others ask one thing at a time, as they did
    before."""
    done = asyncio.Event()
    others = [await scene.world.tab(f"other{number}", *scene.daemons) for number in range(TABS)]
    phase = ["idle"]
    async with asyncio.TaskGroup() as tasks:
        for tab in others:
            tasks.create_task(_ask(scene, tab, phase, done))
        await asyncio.sleep(3.0)
        phase[0] = "flooded"
        for _ in range(0, messages, _BATCH):
            await scene.platform.say("flood", *[""] * min(_BATCH, messages))
        await _all_shown(scene)
        done.set()


async def _ask(scene: Scene, tab: Tab, phase: list[str], done: asyncio.Event) -> None:
    while not done.is_set():
        began, when = time.monotonic(), phase[0]
        await tab.answered(scene.world.say(tab))
        scene.waits[when].append(time.monotonic() - began)
        await scene.pause(0.05)


async def lanes(scene: Scene, chats: int, each: int = 10) -> None:
    """So many chats at once, with a few messages in each."""
    for number in range(chats):
        await scene.platform.say(f"lane{number}", *[""] * each)
    await _all_shown(scene)


async def _all_shown(scene: Scene) -> None:
    """Return when as much was shown as was said, or when nothing moves any more."""
    shown, since = -1, time.monotonic()
    while (counts := await scene.platform.counts())["shown"] < counts["said"]:
        if counts["shown"] != shown:
            shown, since = counts["shown"], time.monotonic()
        if time.monotonic() - since > 30.0:
            return
        await asyncio.sleep(0.1)
