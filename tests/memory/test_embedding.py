"""What a server of vectors answers is not believed before it is looked at."""

from __future__ import annotations

import math
import time

import pytest

from opencraw.memory.embedding import Embedder, NoVectors, TextsRefused
from opencraw.memory.settings import EmbeddingSettings
from tests.fakes.embedding_server import EmbeddingServer


def settings(server: EmbeddingServer, **more: float) -> EmbeddingSettings:
    return EmbeddingSettings(model="fake-embed", base_url=f"{server.url}/v1", **more)  # type: ignore[arg-type]


async def test_vectors_come_in_the_order_of_the_texts_and_have_length_one() -> None:
    async with EmbeddingServer() as server:
        embedder = Embedder(settings(server), None)
        one, two = await embedder.of_memories(["a dog", "a cat"])
        assert await embedder.of_question("a cat") == pytest.approx(two)
        assert one == pytest.approx(server.vector("a dog"))
        assert math.hypot(*one) == pytest.approx(1.0)
        await embedder.close()


@pytest.mark.parametrize(
    "fault",
    ["500", "redirect", "html", "few", "words", "zero", "huge", "nested", "endless"],
)
async def test_what_is_no_vector_is_refused_with_a_reason(fault: str) -> None:
    async with EmbeddingServer() as server:
        server.fault = fault
        embedder = Embedder(settings(server), None)
        with pytest.raises(NoVectors) as failure:
            await embedder.of_memories(["a dog", "a cat"])
        assert 0 < len(str(failure.value)) < 400
        await embedder.close()


async def test_an_answer_without_an_end_is_not_read_to_it() -> None:
    async with EmbeddingServer() as server:
        server.fault = "endless"
        embedder = Embedder(settings(server), None)
        with pytest.raises(NoVectors, match="longer than any"):
            await embedder.of_memories(["a dog"])
        await embedder.close()


async def test_a_question_waits_no_longer_than_it_may() -> None:
    async with EmbeddingServer() as server:
        server.fault = "slow"
        embedder = Embedder(settings(server, query_timeout_seconds=0.05), None)
        began = time.monotonic()
        with pytest.raises(NoVectors, match=r"did not answer within 0\.05 s"):
            await embedder.of_question("a dog")
        assert time.monotonic() - began < 1.0
        await embedder.close()


async def test_nobody_there_is_said_so() -> None:
    async with EmbeddingServer() as server:
        gone = settings(server)
    embedder = Embedder(gone, None)
    with pytest.raises(NoVectors, match="cannot be reached"):
        await embedder.of_memories(["a dog"])
    await embedder.close()


async def test_a_key_is_shown_to_the_server_and_to_nobody_else() -> None:
    async with EmbeddingServer(key="right") as server:
        right, wrong = Embedder(settings(server), "right"), Embedder(settings(server), "wrong-key")
        assert await right.of_memories(["a dog"])
        with pytest.raises(NoVectors, match="401") as failure:
            await wrong.of_memories(["a dog"])
        assert "wrong-key" not in str(failure.value)
        await right.close()
        await wrong.close()


async def test_a_refused_text_is_told_from_a_server_that_fails() -> None:
    async with EmbeddingServer() as server:
        server.refuses = "dog"
        embedder = Embedder(settings(server), None)
        with pytest.raises(TextsRefused):
            await embedder.of_memories(["a cat", "a dog"])
        await embedder.close()


@pytest.mark.parametrize(
    "url", ["localhost:1", "ftp://host/v1", "http://a:b@host/v1", "http://host/v1?key=1", "http://"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="must"):
        EmbeddingSettings(base_url=url)
