"""A fake of OpenAI's `/v1/embeddings`: a text's vector is made of its words, so that texts with
words in common are near each other. `fault` says what it does instead of answering."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from tests.fakes.serving import Service

Json = dict[str, Any]


class EmbeddingServer(Service):
    """Use as `async with EmbeddingServer() as server:`, then speak to `server.url + "/v1"`."""

    def __init__(
        self,
        *,
        port: int = 0,
        ledger: Path | None = None,
        dimensions: int = 64,
        key: str | None = None,
        same: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(port, ledger)
        self.dimensions = dimensions
        #: Words that mean the same as another: what a model knows and words do not.
        self.same = dict(same or {})
        self.fault = ""
        #: A batch with this word in it is refused.
        self.refuses = ""
        #: The texts of each request, oldest first.
        self.asked: list[Sequence[str]] = []
        self._key = key
        self.app.router.add_post("/v1/embeddings", self._embed)

    async def _embed(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        assert isinstance(body["model"], str), body
        assert body.get("encoding_format", "float") == "float", body
        texts = body["input"]
        assert isinstance(texts, list), body
        assert all(isinstance(text, str) and text for text in texts), body
        self.asked.append(texts)
        if self._key and request.headers.get("authorization") != f"Bearer {self._key}":
            said = f"Incorrect API key provided: {request.headers.get('authorization')}"
            return web.json_response({"error": {"message": said}}, status=401)
        if self.fault:
            return await self._broken(texts)
        if self.refuses and any(self.refuses in text for text in texts):
            return web.json_response({"error": {"message": "input too long"}}, status=400)
        return self._answer([self.vector(text) for text in texts])

    def _answer(self, vectors: Sequence[Sequence[float]]) -> web.Response:
        data = [
            {"object": "embedding", "index": index, "embedding": list(vector)}
            for index, vector in enumerate(vectors)
        ]
        # Nobody promised an order.
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        return web.json_response({"object": "list", "data": data[::-1], "usage": usage})

    async def _broken(self, texts: Sequence[str]) -> web.StreamResponse:
        if self.fault == "slow":
            await asyncio.sleep(3600)
        if self.fault == "endless":
            return web.Response(body=b" " * 50_000_000, content_type="application/json")
        made: dict[str, Callable[[], web.Response]] = {
            "500": lambda: web.json_response({"error": {"message": "made up"}}, status=500),
            "redirect": lambda: web.Response(
                status=307, headers={"location": "http://127.0.0.1:1"}
            ),
            "html": lambda: web.Response(text="<h1>Please sign in</h1>", content_type="text/html"),
            "few": lambda: self._answer([self.vector(text) for text in texts[1:]]),
            "short": lambda: self._answer([self.vector(text)[1:] for text in texts]),
            "words": lambda: self._answer([["one", "two"] for _ in texts]),  # type: ignore[list-item]
            "zero": lambda: self._answer([[0.0] * self.dimensions for _ in texts]),
            "huge": lambda: self._answer([[1e308] * self.dimensions for _ in texts]),
            "nested": lambda: web.Response(body=b"[" * 100_000, content_type="application/json"),
        }
        return made[self.fault]()

    def vector(self, text: str) -> list[float]:
        """The direction of a text."""
        sums = [0.0] * self.dimensions
        for word in text.casefold().replace("?", " ").replace(".", " ").split():
            digest = hashlib.sha256(self.same.get(word, word).encode()).digest()
            for number in range(self.dimensions):
                sums[number] += digest[number % 32] / 128 - 1 if number < 32 else 0.0
        length = math.hypot(*sums)
        return [each / length for each in sums] if length else [1.0, *sums[1:]]
