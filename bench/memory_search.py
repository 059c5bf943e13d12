"""How long it takes to find something in memory: 50,000 memories in one scope, and as many spread
over a thousand, by words alone and by words and meaning. The time in which a model makes a vector
of the question is not ours, and taken off."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from math import sin
from pathlib import Path
from random import Random

import asyncpg

from bench.figures import Figures, percentile, postgres_of
from opencraw.contract import DEFAULT_TENANT
from opencraw.memory.embedding import Embedder, Vector
from opencraw.memory.items import Note
from opencraw.memory.memory import Memory
from opencraw.memory.scopes import AGENT_SCOPE, Scopes, person_scope
from opencraw.memory.settings import EmbeddingSettings
from opencraw.memory.vectors import Vectors
from opencraw.store.database import Database
from opencraw.store.migrations import migrate

ITEMS = 50_000
SCOPES = 1_000
SEARCHES = 300
DIMENSIONS = 384
_MODEL = "bench"
_VOCABULARY = 20_000
_TOPICS = 200
_AT_ONCE = 1_000

#: Vectors of one topic lie close to each other, as they do in life.
_FILL = f"""
    INSERT INTO memory_vector (id, tenant, scope, model, vector)
    SELECT memory.id, tenant, scope, $1,
           array_agg(sin(abs(hashtext(memory.id::text)) % {_TOPICS} * 7.1 + number)
                     + (random() - 0.5) * 2)::real[]::halfvec
      FROM memory
     CROSS JOIN generate_series(1, {DIMENSIONS}) AS number
     WHERE memory.id = ANY ($2::uuid[])
     GROUP BY memory.id
"""


class _Here(Embedder):
    """Vectors that are there at once."""

    def __init__(self) -> None:
        super().__init__(EmbeddingSettings(model=_MODEL), None)
        self._random = Random(3)

    async def of_question(self, text: str) -> Vector:
        return self._near(self._random.randrange(_TOPICS))

    async def of_memories(self, texts: Sequence[str]) -> Sequence[Vector]:
        return [self._near(0) for _ in texts]

    def _near(self, topic: int) -> Vector:
        return tuple(
            sin(topic * 7.1 + number) + self._random.uniform(-1, 1)
            for number in range(1, DIMENSIONS + 1)
        )


class _Speech:
    """Sentences of made-up words, some of which are said far more often than others."""

    def __init__(self) -> None:
        self._random = Random(1)
        syllables = [c + v for c in "bcdfgklmnprst" for v in "aeiou"]
        self._words = [
            "".join(self._random.choices(syllables, k=self._random.randint(2, 5)))
            for _ in range(_VOCABULARY)
        ]
        total = 0.0
        self._weights = [total := total + 1 / (rank + 30) ** 0.9 for rank in range(_VOCABULARY)]

    def sentence(self, least: int, most: int) -> str:
        count = self._random.randint(least, most)
        return " ".join(self._random.choices(self._words, cum_weights=self._weights, k=count))


async def memory_search(folder: Path) -> Figures:
    """Milliseconds of one search at a time: over 50,000 memories of one scope, then over as many
    more of a thousand scopes, beside them."""
    async with postgres_of(folder) as server:
        await migrate(server.url)
        async with await Database.open(server.url) as database:
            figures: Figures = {}
            for where, people in (("one_scope", 1), ("many_scopes", SCOPES)):
                await _fill(database, server.url, where, people)
                plain = Memory(database)
                figures |= await _measured(f"memory_text_{where}", plain, where, people)
                vectors = Vectors(database, _Here())
                hybrid = Memory(database, vectors=vectors)
                running = asyncio.create_task(hybrid.run())
                while not vectors.ready:
                    await asyncio.sleep(0.01)
                figures |= await _measured(f"memory_hybrid_{where}", hybrid, where, people)
                running.cancel()
                await asyncio.wait([running])
            return figures


async def _fill(database: Database, url: str, where: str, people: int) -> None:
    memory, speech = Memory(database), _Speech()
    for start in range(0, ITEMS, _AT_ONCE):
        await asyncio.gather(
            *(
                memory.save(_scopes(where, number % people), Note(speech.sentence(8, 25)))
                for number in range(start, start + _AT_ONCE)
            )
        )
    connection = await asyncpg.connect(url)
    # An index is made faster than it is kept up to date.
    await connection.execute(f"DROP INDEX IF EXISTS memory_vector_{DIMENSIONS}")
    rows = await connection.fetch("SELECT id FROM memory WHERE vector_model = ''")
    ids = [row["id"] for row in rows]
    model = f"{_MODEL}/{DIMENSIONS}"
    for start in range(0, len(ids), _AT_ONCE):
        await connection.execute(_FILL, model, ids[start : start + _AT_ONCE])
    await connection.execute("UPDATE memory SET vector_model = $1", model)
    await connection.execute("SET maintenance_work_mem = '512MB'")
    await connection.execute("SELECT prepare_vectors($1)", DIMENSIONS)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


async def _measured(name: str, memory: Memory, where: str, people: int) -> Figures:
    speech, random = _Speech(), Random(2)
    for number in range(20):  # plans are made, pages are read
        await memory.search(_scopes(where, number % people), speech.sentence(3, 8))
    taken = []
    for _ in range(SEARCHES):
        scopes, question = _scopes(where, random.randrange(people)), speech.sentence(3, 8)
        began = time.perf_counter()
        await memory.search(scopes, question)
        taken.append((time.perf_counter() - began) * 1_000)
    return {f"{name}_p50": percentile(taken, 0.5), f"{name}_p95": percentile(taken, 0.95)}


def _scopes(where: str, number: int) -> Scopes:
    own = person_scope(where, str(number))
    return Scopes(DEFAULT_TENANT, own, (own, AGENT_SCOPE))
