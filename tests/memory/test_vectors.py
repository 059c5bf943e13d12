from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import md5

import asyncpg
import pytest

from opencraw.memory import vectors
from opencraw.memory.embedding import Embedder
from opencraw.memory.items import Note
from opencraw.memory.memory import Memory
from opencraw.memory.scopes import Scopes
from opencraw.memory.settings import EmbeddingSettings
from opencraw.memory.vectors import UPKEEP, Vectors
from opencraw.store.database import Database
from opencraw.store.migrations import migrate
from tests.fakes.embedding_server import EmbeddingServer
from tests.fixtures.core import until
from tests.memory.people import ANNA, BEN

SAME = {"puppy": "dog", "wuff": "dog"}


@pytest.fixture
async def server() -> AsyncIterator[EmbeddingServer]:
    async with EmbeddingServer(same=SAME) as running:
        yield running


@asynccontextmanager
async def remembering(
    database: Database,
    server: EmbeddingServer,
    model: str = "fake-embed",
    *,
    patience: float = 5.0,
) -> AsyncIterator[Memory]:
    """Memory that makes vectors in the background."""
    settings = EmbeddingSettings(
        model=model,
        base_url=f"{server.url}/v1",
        query_timeout_seconds=patience,
        timeout_seconds=patience,
    )
    vectors = Vectors(database, Embedder(settings, None), min_similarity=0.2)
    memory = Memory(database, vectors=vectors)
    running = asyncio.create_task(memory.run())
    try:
        yield memory
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.wait([running])
        await memory.close()


async def models(database: Database) -> list[str]:
    """Of what model each memory's vector is, or nothing."""
    rows = await database.fetch(
        "SELECT coalesce(model, '') AS model FROM memory"
        "  LEFT JOIN memory_vector ON memory_vector.id = memory.id AND model = vector_model"
    )
    return sorted(row["model"] for row in rows)


async def all_of(database: Database, model: str) -> None:
    async def made() -> bool:
        return set(await models(database)) == {model}

    await until(made, f"vectors of {model} for all")


async def found(memory: Memory, question: str) -> list[str]:
    return [hit.item.text for hit in await memory.search(ANNA, question)]


async def test_what_means_the_same_is_found_by_other_words(
    database: Database, server: EmbeddingServer
) -> None:
    async with remembering(database, server) as memory:
        await memory.save(ANNA, Note("dog Rex"))
        await memory.save(ANNA, Note("tax office"))
        await memory.save(BEN, Note("dog Fox"))
        assert await found(memory, "dog") == ["dog Rex"], "found at once, by its words"
        await all_of(database, "fake-embed/64")
        assert await found(memory, "puppy") == ["dog Rex"]
        assert memory.problem is None


async def test_what_is_in_view_or_unlike_is_not_brought_up(
    database: Database, server: EmbeddingServer
) -> None:
    async with remembering(database, server) as memory:
        rex = await memory.save(ANNA, Note("dog Rex"))
        await all_of(database, "fake-embed/64")
        assert await memory.search(ANNA, "puppy", without=[rex.id]) == []
        assert await found(memory, "zzz qqq") == []


async def test_a_corrected_memory_is_not_found_by_what_it_meant_before(
    database: Database, server: EmbeddingServer
) -> None:
    async with remembering(database, server) as memory:
        rex = await memory.save(ANNA, Note("dog Rex"))
        await all_of(database, "fake-embed/64")
        server.fault = "500"
        await memory.correct(ANNA, rex.id, "cat Mia")
        assert await models(database) == [""]
        server.fault = ""
        await all_of(database, "fake-embed/64")
        assert await found(memory, "puppy") == []


async def test_a_forgotten_memory_takes_its_vector_along(
    database: Database, server: EmbeddingServer
) -> None:
    async with remembering(database, server) as memory:
        rex = await memory.save(ANNA, Note("dog Rex"))
        await all_of(database, "fake-embed/64")
        await memory.forget(ANNA, rex.id)
        assert await database.fetch("SELECT FROM memory_vector") == []


async def test_another_model_makes_its_own_vectors_and_two_never_meet(
    database: Database, server: EmbeddingServer
) -> None:
    async with remembering(database, server) as memory:
        await memory.save(ANNA, Note("dog Rex"))
        await all_of(database, "fake-embed/64")
    server.dimensions = 48
    async with remembering(database, server, "another-embed") as memory:
        await all_of(database, "another-embed/48")
        assert await found(memory, "puppy") == ["dog Rex"]
    [count] = await database.fetch("SELECT count(*) AS vectors FROM memory_vector")
    assert count["vectors"] == 1


@pytest.mark.parametrize("fault", ["slow", "500", "few", "endless", "zero"])
async def test_without_vectors_memory_is_searched_by_words_and_says_so(
    database: Database, server: EmbeddingServer, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="opencraw.memory")
    async with remembering(database, server, patience=1.0) as memory:
        await memory.save(ANNA, Note("dog Rex"))
        await all_of(database, "fake-embed/64")
        server.fault = fault
        assert await found(memory, "my dog") == ["dog Rex"]
        await memory.save(ANNA, Note("cat Mia"))
        await until(lambda: memory.problem)
        assert await found(memory, "my cat") == ["cat Mia"]
        assert sum("by its words alone" in line for line in caplog.messages) == 1
        server.fault = ""
        await all_of(database, "fake-embed/64")
        await until(lambda: memory.problem is None)


async def test_a_model_that_is_slow_to_answer_questions_is_not_asked_the_next_one(
    database: Database, server: EmbeddingServer
) -> None:
    async with remembering(database, server, patience=1.0) as memory:
        await memory.save(ANNA, Note("dog Rex"))
        await all_of(database, "fake-embed/64")
        server.fault = "slow"
        assert await found(memory, "first dog") == ["dog Rex"]
        assert await found(memory, "second dog") == ["dog Rex"]
        asked = [text for texts in server.asked for text in texts]
        assert "first dog" in asked
        assert "second dog" not in asked


async def test_a_model_that_changes_the_size_of_its_vectors_is_followed(
    database: Database, server: EmbeddingServer
) -> None:
    async with remembering(database, server) as memory:
        await memory.save(ANNA, Note("dog Rex"))
        await all_of(database, "fake-embed/64")
        server.dimensions = 48
        await memory.save(ANNA, Note("cat Mia"))
        await all_of(database, "fake-embed/48")
        await until(lambda: memory.problem is None)
        assert await found(memory, "puppy") == ["dog Rex"]


async def test_a_text_that_the_model_refuses_is_not_in_the_way_of_others(
    database: Database, server: EmbeddingServer
) -> None:
    server.refuses = "poison"
    async with remembering(database, server) as memory:
        for text in ("dog Rex", "poison", "cat Mia"):
            await memory.save(ANNA, Note(text))

        async def settled() -> bool:
            rows = await database.fetch("SELECT FROM memory WHERE vector_model = ''")
            return not rows

        await until(settled)
        assert await models(database) == ["", "fake-embed/64", "fake-embed/64"]
        assert memory.problem is None
        assert await found(memory, "poison") == ["poison"]


async def test_many_memories_are_searched_through_the_index_and_scopes_hold_there(
    database: Database, server: EmbeddingServer
) -> None:
    server.dimensions = 8
    async with remembering(database, server) as memory:
        await memory.save(ANNA, Note("dog Rex"))
        await all_of(database, "fake-embed/8")
        # More of Anna's than are compared one by one, and some of Ben's that would fit better.
        for _ in range(8):
            await _fill(database, ANNA, [-each for each in server.vector("dog")], 400)
        await _fill(database, BEN, server.vector("dog"), 200)
        hits = await memory.search(ANNA, "puppy", limit=20)
        assert [hit.item.text for hit in hits] == ["dog Rex"]


async def _fill(database: Database, scopes: Scopes, vector: list[float], count: int) -> None:
    """Memories with vectors around this one."""
    await database.fetch(
        "WITH made AS ("
        "    INSERT INTO memory (id, tenant, agent, scope, kind, text, importance, words,"
        "                        vector_model)"
        "    SELECT gen_random_uuid(), $1, 'main', $2, 'fact', 'filler', 0.5, '', 'fake-embed/8'"
        "      FROM generate_series(1, $4)"
        "    RETURNING id, tenant, scope, vector_model)"
        " INSERT INTO memory_vector (id, tenant, scope, model, vector)"
        " SELECT id, tenant, scope, vector_model,"
        "        (SELECT array_agg(each + random() / 10) FROM unnest($3::real[]) AS each"
        "          WHERE made.id IS NOT NULL)::real[]::halfvec"
        "   FROM made",
        scopes.tenant, scopes.own, vector, count,
    )  # fmt: skip


async def test_a_vector_of_what_was_said_before_a_correction_finds_nothing(
    database: Database, server: EmbeddingServer
) -> None:
    async with remembering(database, server) as memory:
        rex = await memory.save(ANNA, Note("dog Rex"))
        await all_of(database, "fake-embed/64")
    # From here on nobody makes vectors.
    await memory.correct(ANNA, rex.id, "cat Mia")
    assert await found(memory, "puppy") == []
    # Another daemon took the text up before the correction, and is done now.
    row = (rex.id, md5(b"dog Rex").hexdigest(), "fake-embed/64", str(server.vector("dog Rex")))
    await database.commit(UPKEEP.keep_vector, row)
    assert await found(memory, "puppy") == []
    await memory.close()


# A database without vectors.


@pytest.fixture
async def plain_url(
    empty_database_url: str, administrator: asyncpg.Connection
) -> AsyncIterator[str]:
    """A database whose user may make tables, and may not add extensions."""
    await administrator.execute("DROP ROLE IF EXISTS plain")
    await administrator.execute("CREATE ROLE plain LOGIN PASSWORD 'plain'")
    owner = await asyncpg.connect(empty_database_url)
    await owner.execute("GRANT USAGE, CREATE ON SCHEMA public TO plain")
    before, _, after = empty_database_url.partition("://")
    yield f"{before}://plain:plain@{after.partition('@')[2]}"
    await owner.execute("DROP OWNED BY plain CASCADE")
    await owner.close()
    await administrator.execute("DROP ROLE plain")


async def test_a_database_that_takes_no_vectors_is_migrated_and_searched_by_words(
    plain_url: str, server: EmbeddingServer
) -> None:
    await migrate(plain_url)
    async with (
        await Database.open(plain_url) as database,
        remembering(database, server) as memory,
    ):
        rex = await memory.save(ANNA, Note("dog Rex"))
        await until(lambda: memory.problem)
        assert memory.problem is not None
        assert "no place for vectors" in memory.problem
        assert await found(memory, "my dog") == ["dog Rex"]
        assert await memory.correct(ANNA, rex.id, "dog Max") is not None
        assert await memory.forget_all(ANNA) == 1


async def test_a_search_for_meaning_that_the_database_refuses_leaves_that_by_words(
    changed_database_url: str, server: EmbeddingServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="opencraw.memory")
    async with (
        await Database.open(changed_database_url) as database,
        remembering(database, server) as memory,
    ):
        await memory.save(ANNA, Note("dog Rex"))
        await all_of(database, "fake-embed/64")
        await _rename(database, "nearest_memories", "elsewhere")
        assert await found(memory, "my dog") == ["dog Rex"]
        assert memory.problem is not None
        assert "nearest_memories" in memory.problem
        # New memories are given vectors all the same, which does not mean that all is well.
        await memory.save(ANNA, Note("cat Mia"))
        await all_of(database, "fake-embed/64")
        assert memory.problem is not None
        server.asked.clear()
        assert await found(memory, "your dog") == ["dog Rex"]
        assert server.asked == [], "it rests"
        assert sum("by its words alone" in line for line in caplog.messages) == 1


async def test_a_search_for_meaning_that_works_again_is_told(
    changed_database_url: str,
    server: EmbeddingServer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO, logger="opencraw.memory")
    monkeypatch.setattr(vectors, "REST_SECONDS", 0.0)
    async with (
        await Database.open(changed_database_url) as database,
        remembering(database, server) as memory,
    ):
        await memory.save(ANNA, Note("dog Rex"))
        await all_of(database, "fake-embed/64")
        await _rename(database, "nearest_memories", "elsewhere")
        assert await found(memory, "puppy") == []
        await _rename(database, "elsewhere", "nearest_memories")
        assert await found(memory, "puppy") == ["dog Rex"]
        assert memory.problem is None
        assert "memory is searched by its meaning again" in caplog.messages


async def _rename(database: Database, name: str, to: str) -> None:
    await database.fetch(f"ALTER FUNCTION {name} RENAME TO {to}")


@pytest.mark.parametrize(
    ("version", "works"),
    [("0.5.1", False), ("0.7.4", False), ("0.8.0", True), ("0.10.0", True), ("1.0", True)],
)
async def test_a_pgvector_that_is_too_old_is_said_to_be_and_is_not_used(
    changed_database_url: str, version: str, works: bool
) -> None:
    async with await Database.open(changed_database_url) as database:
        await database.fetch(
            "UPDATE pg_extension SET extversion = $1 WHERE extname = 'vector'", version
        )
        [record] = await database.fetch(UPKEEP.prepare_vectors, 8)
        assert (record["problem"] is None) is works
        assert works or f"pgvector {version} is too old" in record["problem"]
