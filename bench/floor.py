"""The floors: what a message costs when nothing is promised.

    python -m bench.floor MODEL_URL [DATABASE_URL]

A WebSocket server that forwards what is said to the model and streams the answer back. With a
database it first commits the message as one row, which is the least that durability can cost.
"""

from __future__ import annotations

import argparse
import asyncio

import aiohttp
import asyncpg
import orjson
from aiohttp import web


class Floor:
    """Forwards, and nothing else."""

    def __init__(self, model: str, pool: asyncpg.Pool | None) -> None:
        self._model = f"{model}/v1/chat/completions"
        self._pool = pool
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        async for message in socket:
            await self._answer(socket, orjson.loads(message.data))
        return socket

    async def _answer(self, socket: web.WebSocketResponse, frame: dict[str, str]) -> None:
        if self._pool is not None:
            await self._pool.execute("INSERT INTO floor (text) VALUES ($1)", frame["content"])
        body = {
            "model": "fake",
            "stream": True,
            "messages": [{"role": "user", "content": frame["content"]}],
        }
        text = []
        async with self._http.post(self._model, json=body) as response:
            async for line in response.content:
                if not line.startswith(b"data: {"):
                    continue
                choices = orjson.loads(line[6:])["choices"]
                delta = choices[0]["delta"].get("content") if choices else None
                if delta:
                    text.append(delta)
                    await socket.send_str('{"type":"delta","content":' + _json(delta) + "}")
        await socket.send_str('{"type":"message","content":' + _json("".join(text)) + "}")


def _json(text: str) -> str:
    return orjson.dumps(text).decode()


async def serve(model: str, database: str | None) -> None:
    pool = None
    if database:
        pool = await asyncpg.create_pool(database, min_size=8, max_size=8)
        await pool.execute("CREATE TABLE IF NOT EXISTS floor (id serial PRIMARY KEY, text text)")
    application = web.Application()
    application.add_routes([web.get("/ws", Floor(model, pool).socket)])
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("database", nargs="?")
    chosen = parser.parse_args()
    import uvloop

    uvloop.run(serve(chosen.model, chosen.database))
