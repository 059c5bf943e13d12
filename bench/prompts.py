"""What prompts cost: how large the first one is, how much of each the vendor has seen before, how
long it takes to make one, and whether others wait while a full window is summed up."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from random import Random

from bench.client import Client
from bench.figures import Figures, percentile, postgres_of
from bench.processes import Daemon, printed, spawn
from bench.remembering import MESSAGES, Forgetful, script
from opencraw.context.assembly import MOST_ENTRIES, Assembly
from opencraw.context.settings import ContextSettings, GeneralSettings
from opencraw.context.window import window
from opencraw.contract import DEFAULT_TENANT, Address, ChatType
from opencraw.sessions.asker import Asker
from opencraw.sessions.transcript import Sessions
from opencraw.store.database import Database
from tests.fakes.model_cache import rendered
from tests.fakes.model_server import ModelServer

_TURNS = 50
_MADE = 300
#: A window that takes a model of today some seconds to read.
_FULL = 100_000
_LONG = "All work and no play makes a long day, and more of it makes a longer one. " * 40


async def prompts(folder: Path) -> Figures:
    """Fifty turns with memory, looked at one by one; then two thousand messages."""
    async with ModelServer() as server, postgres_of(folder) as postgres:
        server.planner = Forgetful()
        daemon = Daemon(folder / "prompts", server.url, database=postgres.url, remembers=True)
        process, _seconds = await daemon.start()
        lines = list(script(Random(7)))
        async with Client(daemon.socket_url, daemon.token, "life") as person:
            first: list[bytes] = []
            for text in lines[:_TURNS]:
                server.requests.clear()
                await person.say(text)
                # The turn's own request is the last: what sums up comes before it.
                first.append(rendered("chat", server.requests[-1]))
            figures = _shares(first)
            figures["first_prompt"] = len(first[0]) / 1_000
            for text in lines[_TURNS : MESSAGES // 2]:
                await person.say(text)
        await process.stop()
        return figures | await _assembled(postgres.url)


def _shares(shown: Sequence[bytes]) -> Figures:
    """How much of each prompt is the beginning of the last one."""
    known = [(_same(before, after), len(after)) for before, after in pairwise(shown)]
    return {
        "prefix": 100 * sum(same for same, _ in known) / sum(length for _, length in known),
        "of the turn with the least, the prefix (%)": 100
        * min(same / all_ for same, all_ in known),
    }


def _same(before: bytes, after: bytes) -> int:
    for place, (one, other) in enumerate(zip(before, after, strict=False)):
        if one != other:
            return place
    return min(len(before), len(after))


async def _assembled(url: str) -> Figures:
    """Milliseconds from the question what to show until that is known, at the end of the talk."""
    async with await Database.open(url) as database:
        [row] = await database.fetch("SELECT id, prompt_tokens, cached_tokens FROM session")
        assembly = Assembly(GeneralSettings(), ContextSettings(compaction_enabled=True))
        address = Address("webchat", "local", "life")
        asker = Asker(DEFAULT_TENANT, row["id"], row["id"], address, "owner", "owner", "channel",
                      ChatType.DIRECT)  # fmt: skip
        taken = {"cold": list[float](), "warm": list[float]()}
        for state, times in taken.items():
            sessions = Sessions(database)
            for _ in range(_MADE):
                if state == "cold":
                    sessions = Sessions(database)
                began = time.perf_counter()
                transcript = await sessions.transcript(
                    row["id"], longest=assembly.longest_text, limit=MOST_ENTRIES
                )
                system = assembly.system(asker)
                limits = assembly.limits(
                    "openai/fake", assembly.wrapping("openai/fake", system, ())
                )
                assert window(transcript, limits, assembly.count("openai/fake")).messages
                times.append((time.perf_counter() - began) * 1e3)
    return {
        "assembly": percentile(taken["warm"], 0.95),
        "assembly of a conversation that was not read before, p95 (ms)": percentile(
            taken["cold"], 0.95
        ),
        "of the whole conversation the vendor had cached (%)": 100
        * row["cached_tokens"]
        / row["prompt_tokens"],
    }


async def full_window(folder: Path) -> Figures:
    """How long others wait for an answer of the daemon while it sums up a hundred thousand
    tokens."""
    async with ModelServer() as server:
        model = Forgetful()
        server.planner = model
        daemon = Daemon(folder / "full", server.url, remembers=True, window=_FULL)
        process, _seconds = await daemon.start()
        async with Client(daemon.socket_url, daemon.token, "life") as person:
            turns = 0
            while model.summaries == 0:
                prober = await spawn(["-m", "bench.prober", daemon.url], folder / "prober.log")
                await printed(prober)
                await person.say(f"{turns}. {_LONG}")
                await prober.stop()
                turns += 1
        await process.stop()
    answers = [float(line) for line in (folder / "prober.log").read_text().splitlines()[1:]]
    return {
        "lag": max(answers),
        "median of these answers (ms)": percentile(answers, 0.5),
        "messages until the window was full": float(turns),
    }
