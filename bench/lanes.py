"""What conversations cost each other: a flood, a thousand lanes at once, a node that dies."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench.client import Client, Timing
from bench.figures import Figures, percentile, postgres_of
from bench.processes import Daemon, Process, model_server, spawn
from opencraw.store.database import Database

_OTHERS = 20
_FLOOD = 10_000
_LANES = 1_000
_EACH = 10
_TAKEOVERS = 5
_TURNS_OF_A_CHAT = 10
_chats = itertools.count()


async def flood(folder: Path) -> Figures:
    """How much longer others wait while one conversation is flooded with 10,000 messages."""
    async with model_server(folder, words=20) as model:
        daemon = Daemon(folder / "flood", model)
        process, _seconds = await daemon.start()
        await _others(daemon, lambda: asyncio.sleep(1))  # warm
        idle = await _others(daemon, lambda: asyncio.sleep(8))

        async def flooded() -> None:
            flooder = await spawn(
                ["-m", "bench.flooder", daemon.socket_url, daemon.token, str(_FLOOD)],
                folder / "flooder.log",
            )
            await flooder.process.wait()
            print((folder / "flooder.log").read_text().strip())

        busy = await _others(daemon, flooded)
        figures = {
            "flood": percentile(busy, 0.95) / percentile(idle, 0.95),
            "others' p95, idle (ms)": percentile(idle, 0.95) * 1e3,
            "others' p95, flooded (ms)": percentile(busy, 0.95) * 1e3,
            "others' answers while flooded": float(len(busy)),
            "memory after the flood (MB)": process.resident_megabytes(),
        }
        await process.stop()
        return figures


async def _others(daemon: Daemon, meanwhile: Callable[[], Awaitable[None]]) -> list[float]:
    """Seconds until the first delta, in conversations that go on while something happens."""
    timings: list[Timing] = []
    over = asyncio.Event()

    async def talk(number: int) -> None:
        await asyncio.sleep(number / _OTHERS / 4)  # people do not speak in step
        while not over.is_set():
            # Young conversations: how much slower old ones are is measured elsewhere.
            async with Client(daemon.socket_url, daemon.token, f"other{next(_chats)}") as client:
                for _ in range(_TURNS_OF_A_CHAT):
                    timings.append(await client.say("hello"))
                    await asyncio.sleep(0.25)

    async with asyncio.TaskGroup() as tasks:
        for number in range(_OTHERS):
            tasks.create_task(talk(number))
        await meanwhile()
        over.set()
    return [each.first_delta for each in timings]


async def lanes(folder: Path) -> Figures:
    """Whether a thousand conversations with ten messages each, all at once, are served alike, and
    what the daemon weighs then."""
    async with model_server(folder, words=5) as model:
        daemon = Daemon(folder / "lanes", model, mode="followup")
        process, _seconds = await daemon.start()
        answered: Counter[str] = Counter()
        half_way: Counter[str] = Counter()
        peak = 0.0
        began = time.perf_counter()

        async def converse(chat: str) -> None:
            async with Client(daemon.socket_url, daemon.token, chat) as client:
                for _ in range(_EACH):
                    await client.send("hello")
                for _ in range(_EACH):
                    await client.answer()
                    answered[chat] += 1
                    if answered.total() == _LANES * _EACH // 2:
                        half_way.update(answered)

        async def weigh() -> None:
            nonlocal peak
            while True:
                peak = max(peak, process.resident_megabytes())
                await asyncio.sleep(0.1)

        weighing = asyncio.create_task(weigh())
        await asyncio.gather(*(converse(f"lane{number}") for number in range(_LANES)))
        weighing.cancel()
        seconds = time.perf_counter() - began
        # What a first crowd leaves behind is buffers that a second one uses again.
        first_crowd = process.resident_megabytes()
        await asyncio.gather(*(converse(f"more{number}") for number in range(_LANES)))
        counts = [half_way[f"lane{number}"] for number in range(_LANES)]
        fairness = sum(counts) ** 2 / (_LANES * sum(count**2 for count in counts))
        second_crowd = process.resident_megabytes()
        figures = {
            "fairness": fairness,
            "lanes_memory": peak,
            "session_memory": max(0.0, second_crowd - first_crowd) * 1024 / _LANES,
            "turns per second over 1,000 lanes": _LANES * _EACH / seconds,
        }
        await process.stop()
        return figures


async def takeover(folder: Path) -> Figures:
    """Seconds from the kill of a node until another one works on its turn."""
    async with model_server(folder, words=5) as model, postgres_of(folder) as postgres:
        survivor = Daemon(folder / "survivor", model, database=postgres.url)
        process, _seconds = await survivor.start()
        times = []
        async with await Database.open(postgres.url) as database:
            for number in range(_TAKEOVERS):
                victim = Daemon(folder / f"victim{number}", model, database=postgres.url)
                times.append(await _taken_over(victim, f"chat{number}", database))
        await process.stop()
        return {"takeover": max(times)}


async def _taken_over(victim: Daemon, chat: str, database: Database) -> float:
    process: Process
    process, _seconds = await victim.start()
    async with Client(victim.socket_url, victim.token, chat) as client:
        await client.send(f"[[stall]] hello from {chat}")
        await _until(database, "state = 'running' AND attempt = 1", chat)
        # Just after a renewal, when its lease is longest, or just before: wherever it falls.
        await asyncio.sleep(0.5)
        await process.kill()
    began = time.perf_counter()
    await _until(database, "attempt = 2", chat)
    return time.perf_counter() - began


async def _until(database: Database, condition: str, chat: str) -> None:
    sql = f"""SELECT FROM turn JOIN session ON session.id = session_id
               WHERE session.chat = $1 AND {condition}"""
    async with asyncio.timeout(30):
        while not await database.fetch(sql, chat):
            await asyncio.sleep(0.01)
