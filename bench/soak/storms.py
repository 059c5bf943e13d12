"""What goes wrong, by name. Each goes on until its scene is over."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import aiohttp

from bench.soak.scene import Scene
from opencraw.queue.nodes import LEASE_SECONDS
from tests.fixtures.ledgers import Pause
from tests.fixtures.webchat_client import PROTOCOL

#: People who open the page and never look.
BLIND_READERS = 20


async def kills(scene: Scene) -> None:
    """kill -9 of a daemon that has just become ready, now and then of one that has not."""
    while not scene.over.is_set():
        await scene.pause(scene.dice.uniform(0.2, 0.7))
        await scene.kill(scene.dice.choice(scene.daemons), twice=scene.dice.random() < 0.1)


async def postgres(scene: Scene) -> None:
    """The database server crashes under daemons that live on, and comes back."""
    while not scene.over.is_set():
        await scene.pause(scene.dice.uniform(4.0, 8.0))
        if not scene.over.is_set():
            # What `pg_ctl stop -m immediate` does.
            # It may be about to start again after the last crash.
            with suppress(ProcessLookupError):
                os.kill(scene.server.pid, signal.SIGQUIT)
            scene.crashes += 1


async def stand_still(scene: Scene) -> None:
    """One of several daemons is stopped for longer than its lease, and wakes up."""
    while not scene.over.is_set():
        await scene.pause(scene.dice.uniform(0.5, 2.0))
        daemon = scene.dice.choice(scene.daemons)
        assert daemon.process is not None
        began = time.time()
        with suppress(ProcessLookupError):
            daemon.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(LEASE_SECONDS + scene.dice.uniform(0.3, 2.0))
        with suppress(ProcessLookupError):
            daemon.process.send_signal(signal.SIGCONT)
        scene.pauses.append(Pause(daemon.environ["OPENAI_API_KEY"], began, time.time()))


async def slow(scene: Scene) -> None:
    """Lines to the model and to the platform crawl, fall silent and break; readers do not read."""
    async with aiohttp.ClientSession() as http:
        for number in range(BLIND_READERS):
            await _blind_reader(scene, http, number)
        while not scene.over.is_set():
            proxy = scene.dice.choice(scene.proxies)
            match scene.dice.choice(("silent", "crawling", "late", "broken")):
                case "silent":
                    # Only the way back: a line that hears nothing cannot tell who hung up, either.
                    proxy.hold("down")
                case "crawling":
                    proxy.bytes_per_second = scene.dice.uniform(2_000, 20_000)
                case "late":
                    proxy.delay = 0.3
                case "broken":
                    proxy.cut()
            await scene.pause(scene.dice.uniform(0.3, 2.0))
            proxy.release()
            proxy.delay = proxy.bytes_per_second = 0.0
            await scene.pause(scene.dice.uniform(0.0, 1.0))


async def redis(scene: Scene) -> None:
    """Redis between the daemons is killed, frozen, erased and started again."""
    server = scene.redis
    assert server is not None
    while not scene.over.is_set():
        await scene.pause(scene.dice.uniform(0.3, 1.5))
        match scene.dice.choice(("killed", "frozen", "erased")):
            case "killed":
                await server.kill()
                await scene.pause(scene.dice.uniform(0.1, 2.0))
                await server.start()
            case "frozen":
                server.freeze()
                await scene.pause(scene.dice.uniform(0.5, 3.0))
                server.thaw()
            case "erased":
                await server.ask("FLUSHALL")


async def _blind_reader(scene: Scene, http: aiohttp.ClientSession, number: int) -> None:
    """Ask for a long answer and never read it."""
    daemon = scene.daemons[number % len(scene.daemons)]
    socket = await http.ws_connect(
        f"{daemon.url}/ws?chat=blind{number}",
        protocols=(PROTOCOL, f"opencraw.token.{daemon.token}"),
        max_msg_size=0,
    )
    await socket.send_json({"type": "message", "content": "[[words 20000]]"})
    transport = socket._response.connection.transport  # type: ignore[union-attr]
    assert isinstance(transport, asyncio.Transport)
    transport.pause_reading()


@dataclass(frozen=True)
class Storm:
    """A disaster, how many daemons it takes, and what the platform does to sends meanwhile."""

    disaster: Callable[[Scene], Coroutine[None, None, None]] | None = None
    daemons: int = 1
    #: Whether these tell each other through a Redis.
    with_redis: bool = False
    rates: Mapping[str, float] = field(default_factory=dict)
    #: How many messages are written at once, in how many chats; 0 for ordinary talk.
    flood: int = 0
    lanes: int = 0


STORMS: Mapping[str, Storm] = {
    "kills": Storm(kills),
    "postgres": Storm(postgres),
    "pause": Storm(stand_still, daemons=2),
    # One in twenty sends has an unknown outcome, of which most were taken.
    "ambiguous": Storm(
        rates={"dropped": 0.03, "failed-after": 0.01, "lost": 0.01, "limited": 0.02,
               "unavailable": 0.02, "slow": 0.01},
    ),
    "slow": Storm(slow),
    "flood": Storm(flood=1_100),
    "lanes": Storm(lanes=100),
    "redis": Storm(redis, daemons=2, with_redis=True),
}  # fmt: skip
