"""What is measured, and how."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import aiohttp

from bench.client import Client, Timing
from bench.figures import Figures, percentile, postgres_of
from bench.processes import Daemon, model_server, printed, spawn
from opencraw.contract import Address, Envelope, Rights, Sender
from opencraw.queue.inbox import Inbox
from opencraw.sessions.keys import Conversation
from opencraw.store.database import Database
from opencraw.store.embedded import EmbeddedPostgres
from opencraw.store.migrations import migrate

_STARTS = 10
_WARM_UP = 30


async def starts(folder: Path) -> Figures:
    """How long a person waits for a daemon, and what it weighs when nobody speaks."""
    async with model_server(folder, words=5) as model:
        first, again, after_kill = [], [], []
        for number in range(3):
            daemon = Daemon(folder / f"first-{number}", model)
            process, seconds = await daemon.start()
            first.append(seconds)
            await process.stop()
        daemon = Daemon(folder / "first-0", model)
        for _ in range(_STARTS):
            process, seconds = await daemon.start()
            again.append(seconds)
            await process.stop()
        for _ in range(_STARTS):
            process, _seconds = await daemon.start()
            await process.kill()
            process, seconds = await daemon.start()
            after_kill.append(seconds)
            await process.stop()
        process, _seconds = await daemon.start()
        await asyncio.sleep(3)
        figures = {
            "first_start": statistics.median(first),
            "start": statistics.median(again),
            "recovery": percentile(after_kill, 0.95),
            "daemon_memory": process.resident_megabytes(),
            "database_memory": daemon.postgres_megabytes(),
        }
        await process.stop()
        return figures


async def _talk(url: str, token: str, chat: str, turns: int) -> list[Timing]:
    async with Client(url, token, chat) as client:
        return [await client.say("hello") for _ in range(turns)]


async def _model_alone(model: str, requests: int, exchanges: int = 0) -> list[float]:
    """Seconds until the model's first delta, without anything in between, at the end of a
    conversation of so many exchanges."""
    times = []
    question = {"role": "user", "content": "hello"}
    answer = {"role": "assistant", "content": "word " * 20}
    messages = [*[question, answer] * exchanges, question]
    body = {"model": "fake", "stream": True, "messages": messages}
    async with aiohttp.ClientSession() as http:
        for _ in range(requests):
            began = time.perf_counter()
            async with http.post(f"{model}/v1/chat/completions", json=body) as response:
                async for line in response.content:
                    if b'"content":"' in line:
                        times.append(time.perf_counter() - began)
                        break
                await response.read()
    return times


async def _shown(model: str) -> int:
    """How many exchanges the model was shown of a long conversation, about: they come and go."""
    async with aiohttp.ClientSession() as http, http.get(f"{model}/_control") as response:
        requests = (await response.json())["requests"]
    sizes = [len(each["messages"]) // 2 for each in requests if len(each["messages"]) > _WARM_UP]
    return round(statistics.median(sizes))


@asynccontextmanager
async def _floors(folder: Path, model: str, postgres: EmbeddedPostgres) -> AsyncIterator[list[str]]:
    processes = [
        await spawn(["-m", "bench.floor", model], folder / "floor.log"),
        await spawn(["-m", "bench.floor", model, postgres.url], folder / "floor-commit.log"),
    ]
    try:
        yield [(await printed(each)).replace("http", "ws", 1) + "/ws" for each in processes]
    finally:
        for process in processes:
            await process.kill()


async def _turns_per_second(url: str, token: str, sessions: int, each: int) -> float:
    await asyncio.gather(*(_talk(url, token, f"warm{n}", 2) for n in range(sessions)))
    began = time.perf_counter()
    await asyncio.gather(*(_talk(url, token, f"load{n}", each) for n in range(sessions)))
    return sessions * each / (time.perf_counter() - began)


async def turns(folder: Path) -> Figures:
    """A turn's overhead and how many fit into a second, beside the two floors."""
    async with (
        model_server(folder, words=20) as model,
        postgres_of(folder) as postgres,
        _floors(folder, model, postgres) as floors,
    ):
        daemon = Daemon(folder / "turns", model)
        process, _seconds = await daemon.start()
        alone = statistics.median((await _model_alone(model, 230))[_WARM_UP:])
        figures: Figures = {"the model alone, to its first delta (ms)": alone * 1e3}
        targets = {"": (daemon.socket_url, daemon.token), "floor_": (floors[0], ""),
                   "floor_commit_": (floors[1], "")}  # fmt: skip
        for prefix, (url, token) in targets.items():
            timings = (await _talk(url, token, "latency", 230))[_WARM_UP:]
            firsts = [(each.first_delta - alone) * 1e3 for each in timings]
            figures[f"{prefix}overhead_p50"] = statistics.median(firsts)
            figures[f"{prefix}overhead_p95"] = percentile(firsts, 0.95)
        for prefix, (url, token) in targets.items():
            figures[f"{prefix}turns"] = await _turns_per_second(url, token, 50, 40)
        await process.stop()
        return figures


async def deltas(folder: Path) -> Figures:
    """CPU that the daemon spends on each delta of a long answer, beside a floor's."""
    words = 5000
    async with (
        model_server(folder, words=words) as model,
        postgres_of(folder) as postgres,
        _floors(folder, model, postgres) as floors,
    ):
        daemon = Daemon(folder / "deltas", model)
        process, _seconds = await daemon.start()
        floor = await spawn(["-m", "bench.floor", model], folder / "floor-deltas.log")
        floor_url = (await printed(floor)).replace("http", "ws", 1) + "/ws"
        figures: Figures = {}
        for prefix, url, token, measured in (
            ("", daemon.socket_url, daemon.token, process),
            ("floor_", floor_url, "", floor),
        ):
            await _talk(url, token, "warm", 2)
            before = measured.cpu_seconds()
            await _talk(url, token, "long", 10)
            figures[f"{prefix}delta"] = (measured.cpu_seconds() - before) / (10 * words) * 1e6
        del floors
        await floor.kill()
        await process.stop()
        return figures


async def history(folder: Path) -> Figures:
    """Whether a long conversation is slower than a young one, the model's own reading of a long
    prompt taken off."""
    async with model_server(folder, words=20) as model:
        daemon = Daemon(folder / "history", model)
        process, _seconds = await daemon.start()
        url, token = daemon.socket_url, daemon.token
        await _talk(url, token, "warm", 50)
        await _talk(url, token, "long", 1000)
        first, last = [], []
        for number in range(60):
            # Turn about, so that whatever else the machine does weighs on both.
            first += await _talk(url, token, f"young{number}", 1)
            last += await _talk(url, token, "long", 1)
        await process.stop()
        reading_one = statistics.median(await _model_alone(model, 50))
        shown = await _shown(model)
        reading_all = statistics.median(await _model_alone(model, 50, shown))
    turn_1 = statistics.median(each.answer for each in first)
    turn_1000 = statistics.median(each.answer for each in last)
    return {
        "history": (turn_1000 - reading_all) / (turn_1 - reading_one),
        "turn 1 (ms)": turn_1 * 1e3,
        "turn 1,000 (ms)": turn_1000 * 1e3,
        "of that, the model's own reading of the long prompt (ms)": reading_all * 1e3,
        "exchanges in the long prompt": shown,
    }


async def accepts(folder: Path) -> Figures:
    """Durable accepts per second, 64 producers at once, beside one transaction each."""
    async with postgres_of(folder) as postgres:
        await migrate(postgres.url)
        async with await Database.open(postgres.url) as database:
            inbox = Inbox(database)

            async def produce(producer: int, count: int) -> None:
                for _ in range(count):
                    said = _envelope(producer)
                    here = Conversation.at(said.address, said.tenant)
                    await inbox.accept(said, here, patience=60)

            await asyncio.gather(*(produce(n, 20) for n in range(64)))
            began = time.perf_counter()
            await asyncio.gather(*(produce(n, 500) for n in range(64)))
            return {"accepts": 64 * 500 / (time.perf_counter() - began)}


def _envelope(producer: int) -> Envelope:
    return Envelope(
        address=Address("bench", "local", f"chat{producer}"),
        sender=Sender("somebody", "Somebody", Rights.OWNER),
        text="x" * 500,
        dedupe_key=str(uuid4()),
        correlation_id=uuid4(),
    )
