"""What texts mean, as vectors, from any server that speaks OpenAI's `/embeddings`.

Nothing that it answers is believed before it is looked at: how many vectors, how long, and whether
they are numbers. Vectors leave here with length one.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

import aiohttp
import msgspec

from opencraw.memory.settings import EmbeddingSettings

Vector = tuple[float, ...]

#: Models read a few thousand words; what a memory is about is said before.
LONGEST_TEXT = 6_000
#: pgvector's `halfvec` takes no longer ones.
MOST_DIMENSIONS = 16_000
CONNECT_SECONDS = 5.0
_QUOTED = 200
#: One number takes some 22 bytes as text.
_BYTES_OF_A_NUMBER = 32


class NoVectors(Exception):
    """The server did not answer with vectors. The text is for operators."""


class TextsRefused(NoVectors):
    """The server says that the request is to blame: perhaps one of its texts."""


class _Embedding(msgspec.Struct):
    index: int
    embedding: list[float]


class _Answer(msgspec.Struct):
    data: list[_Embedding]


_decoder = msgspec.json.Decoder(_Answer)


class Embedder:
    """Asks one server for the vectors of one model."""

    def __init__(self, settings: EmbeddingSettings, key: str | None) -> None:
        self.model = settings.model
        self._settings = settings
        self._key = key
        self._session: aiohttp.ClientSession | None = None

    async def of_question(self, text: str) -> Vector:
        """The vector of one text, soon or not at all. Raises `NoVectors`."""
        [vector] = await self._ask([text], self._settings.query_timeout_seconds)
        return vector

    async def of_memories(self, texts: Sequence[str]) -> Sequence[Vector]:
        """The vectors of some texts, in their order. Raises `NoVectors`."""
        return await self._ask(texts, self._settings.timeout_seconds)

    async def close(self) -> None:
        """Let go of connections; a later request opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _ask(self, texts: Sequence[str], seconds: float) -> Sequence[Vector]:
        asked = {
            "model": self.model,
            "input": [text[:LONGEST_TEXT] for text in texts],
            "encoding_format": "float",
        }
        try:
            async with (
                asyncio.timeout(seconds),
                self._connected().post(
                    f"{self._settings.base_url}/embeddings",
                    data=msgspec.json.encode(asked),
                    allow_redirects=False,
                ) as response,
            ):
                most = len(texts) * MOST_DIMENSIONS * _BYTES_OF_A_NUMBER
                body = await _read(response, most)
                _refuse_errors(response.status, self._without_key(body[:4_096]))
        except TimeoutError as error:
            raise NoVectors(f"{self.model} did not answer within {seconds:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise NoVectors(f"{self.model} cannot be reached: {error}") from error
        return _vectors(body, len(texts))

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            authorization = {"Authorization": f"Bearer {self._key}"} if self._key else {}
            self._session = aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={
                    "Content-Type": "application/json",
                    # Compressed, a small answer could unfold into a huge one.
                    "Accept-Encoding": "identity",
                    "User-Agent": "opencraw",
                    **authorization,
                },
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
                trust_env=False,
            )
        return self._session

    def _without_key(self, body: bytes) -> str:
        told = body.decode("utf-8", "replace")
        return told.replace(self._key, "[key]") if self._key else told


async def _read(response: aiohttp.ClientResponse, most: int) -> bytes:
    parts: list[bytes] = []
    async for chunk in response.content.iter_any():
        parts.append(chunk)
        most -= len(chunk)
        if most < 0:
            raise NoVectors("the answer is longer than any vectors are")
    return b"".join(parts)


def _refuse_errors(status: int, told: str) -> None:
    if status == 200:
        return
    said = " ".join(told.split())[:_QUOTED]
    if 300 <= status < 400:
        raise NoVectors(f"HTTP {status}: it sends requests on; set base_url to the final address")
    blames_texts = status in {400, 413, 422}
    raise (TextsRefused if blames_texts else NoVectors)(f"HTTP {status}: {said}")


def _vectors(body: bytes, count: int) -> Sequence[Vector]:
    try:
        data = _decoder.decode(body).data
    except (msgspec.DecodeError, RecursionError) as error:
        raise NoVectors(f"the answer holds no vectors: {str(error)[:_QUOTED]}") from error
    if sorted(each.index for each in data) != list(range(count)):
        raise NoVectors(f"{count} texts were sent, and {len(data)} vectors came")
    sizes = {len(each.embedding) for each in data}
    if len(sizes) != 1 or not 0 < min(sizes) <= MOST_DIMENSIONS:
        raise NoVectors("the vectors are not of one size")
    return [_unit(each.embedding) for each in sorted(data, key=lambda each: each.index)]


def _unit(numbers: Sequence[float]) -> Vector:
    length = math.hypot(*numbers)
    if not math.isfinite(length) or length == 0:
        raise NoVectors("a vector has no direction")
    return tuple(number / length for number in numbers)
