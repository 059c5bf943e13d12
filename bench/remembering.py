"""Whether an assistant still knows in the end what it was told in the beginning.

Forty facts are mentioned in passing over two thousand messages, and asked for at the end. The model
is as bad as models get: asked for notes it takes none, asked for a summary it writes the headings
and the identifiers it was told to keep. So a fact is known when its words are in the prompt that
asks its question, and only what OpenCraw does by itself can have put it there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import orjson
import tomli

from bench.client import Client
from bench.figures import Figures
from bench.processes import Daemon
from bench.small_talk import small_talk
from opencraw.resources import prompt
from tests.fakes.model_plan import Asked, Plan, Planner
from tests.fakes.model_server import ModelServer

MESSAGES = 2000
_HEADING = re.compile(r"^## .+$", re.MULTILINE)
_IDENTIFIERS = re.compile(
    r'<from-outside origin="identifiers" mark="(\w+)">\n(.*?)\n</from-outside mark="\1">', re.DOTALL
)
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing worth knowing, as it is said and asked."""

    said: str
    asked: str
    about: str
    answer: str


@dataclass
class Outcome:
    """How a conversation went."""

    known: int = 0
    summaries: int = 0
    unknown: list[str] = field(default_factory=list)


class Forgetful(Planner):
    """A model that listens and keeps nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.summaries = 0

    def plan(self, asked: Asked) -> Plan:
        if asked.system == prompt("compaction.md").strip():
            self.summaries += 1
            return Plan(text=_empty_summary(asked))
        if asked.system == prompt("flush.md").strip():
            return Plan(text="Nothing to note.")
        return Plan(text="I see.")


def _empty_summary(asked: Asked) -> str:
    """The headings, and what must be there for a summary to be taken at all."""
    found = _IDENTIFIERS.search("\n".join(asked.texts))
    parts = []
    for heading in _HEADING.findall(asked.system):
        text = found[2] if found and "dentifiers" in heading else "- none"
        parts.append(f"{heading}\n\n{text}")
    return "\n\n".join(parts)


def facts() -> Sequence[Fact]:
    """What is planted."""
    file = Path(__file__).parent / "planted.toml"
    return [Fact(**each) for each in tomli.loads(file.read_text(encoding="utf-8"))["fact"]]


def script(random: Random) -> Iterator[str]:
    """A thousand messages, each fact among them at a place of its own."""
    planted = list(facts())
    turns = MESSAGES // 2
    places = set(random.sample(range(turns), len(planted)))
    random.shuffle(planted)
    talk = small_talk(random, [fact.about for fact in planted], turns - len(planted))
    for number in range(turns):
        yield planted.pop().said if number in places else next(talk)


async def converse(folder: Path, *, remembers: bool) -> Outcome:
    """Say it all, then ask for each fact."""
    model, outcome = Forgetful(), Outcome()
    async with ModelServer() as server:
        server.planner = model
        daemon = Daemon(folder, server.url, remembers=remembers, window=5000)
        process, _seconds = await daemon.start()
        async with Client(daemon.socket_url, daemon.token, "life") as person:
            for text in script(Random(7)):
                await person.say(text)
            for fact in facts():
                server.requests.clear()
                await person.say(fact.asked)
                if _shows(server.requests[-1], fact):
                    outcome.known += 1
                else:
                    outcome.unknown.append(fact.asked)
        await process.stop()
    outcome.summaries = model.summaries
    return outcome


def _shows(body: Json, fact: Fact) -> bool:
    return fact.answer in orjson.dumps(body["messages"]).decode()


async def facts_kept(folder: Path) -> Figures:
    """How many facts are known in the end, with memory and without."""
    kept = await converse(folder / "with", remembers=True)
    lost = await converse(folder / "without", remembers=False)
    for question in kept.unknown:
        print(f"not known, with memory: {question}")
    planted = len(facts())
    return {
        "facts_known": 100 * kept.known / planted,
        "compactions": float(kept.summaries),
        "facts known without memory (%)": 100 * lost.known / planted,
    }
