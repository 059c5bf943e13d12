"""A fake model server: three vendors' wire formats, strict about requests, steerable by texts.

    python -m tests.fakes.model_server --port 0 --ledger FILE

prints its port and serves `/v1/chat/completions`, `/v1/responses` and `/v1/messages` until it is
killed. Directives in the newest user texts say what happens; `model_plan` lists them. The ledger is
the server's own account of what it was asked and how it ended, two JSON lines for each request.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import itertools
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from tests.fakes import model_errors, model_faults, model_wire
from tests.fakes.anthropic_checks import check_messages
from tests.fakes.model_cache import PromptCache
from tests.fakes.model_checks import Rejected, check_chat, check_responses
from tests.fakes.model_plan import NONCE, Asked, Plan, Planner
from tests.fakes.serving import Service

Json = dict[str, Any]
LOGIN_PAGE = "<!doctype html><html><body><h1>Please sign in</h1></body></html>"

CHECKS: dict[str, Callable[[Json], Asked]] = {
    "chat": check_chat,
    "responses": check_responses,
    "messages": check_messages,
}
RENDER: dict[str, Callable[[Asked, Plan], list[bytes]]] = {
    "chat": model_wire.chat,
    "responses": model_wire.responses,
    "messages": model_wire.messages,
}


class ModelServer(Service):
    """Use as `async with ModelServer() as server:`, then speak to `server.url`."""

    def __init__(
        self,
        *,
        port: int = 0,
        ledger: Path | None = None,
        words: int = 0,
        delay: float = 0.0,
        key: str | None = None,
        script: Sequence[str] = (),
    ) -> None:
        super().__init__(port, ledger)
        self.planner = Planner(words, delay, script)
        #: The newest request bodies, oldest first.
        self.requests: deque[Json] = deque(maxlen=100)
        #: And how many bytes each had.
        self.sizes: deque[int] = deque(maxlen=100)
        #: What happened to them, as the ledger has it.
        self.outcomes: deque[str] = deque(maxlen=100)
        self.active = 0
        self._key = key
        self._cache = PromptCache()
        self._numbers = itertools.count(1)
        self.app.router.add_post("/v1/chat/completions", self._handler("chat"))
        self.app.router.add_post("/v1/responses", self._handler("responses"))
        self.app.router.add_post("/v1/messages", self._handler("messages"))
        self.app.router.add_get("/_control", self._show)
        self.app.router.add_post("/_control", self._control)

    async def _control(self, request: web.Request) -> web.Response:
        """Add to the script: one entry for each coming request, read before any user text."""
        body = await request.json()
        self.planner.script += body.get("script", [])
        self.planner.words = body.get("words", self.planner.words)
        self.planner.delay = body.get("delay", self.planner.delay)
        return await self._show(request)

    async def _show(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {
                "active": self.active,
                "script": self.planner.script,
                "outcomes": list(self.outcomes),
                "requests": list(self.requests),
                "sizes": list(self.sizes),
            }
        )

    def _handler(self, wire: str) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.StreamResponse:
            number, body = next(self._numbers), await request.read()
            self.active += 1
            outcome = "disconnected"
            try:
                response, outcome = await self._answer(wire, number, request, body)
                return response
            finally:
                self.active -= 1
                self.outcomes.append(outcome)
                self._ledger.write(event="end", request=number, at=time.time(), outcome=outcome)

        return handle

    async def _answer(
        self, wire: str, number: int, request: web.Request, raw: bytes
    ) -> tuple[web.StreamResponse, str]:
        try:
            body = orjson.loads(raw)
            self.requests.append(body)
            self.sizes.append(len(raw))
            asked = replace(CHECKS[wire](body), seen=self._cache.see(wire, body))
            if wire == "messages" and "anthropic-version" not in request.headers:
                raise Rejected("anthropic-version: header is required")
            if not body.get("stream"):
                raise Rejected("this fake only streams")
        except (Rejected, orjson.JSONDecodeError) as error:
            self._begin(wire, number, None)
            refusal = model_errors.error(wire, 400, str(error))
            return web.json_response(refusal, status=400), f"rejected: {error}"
        if self._key and self._key != _key(request):
            self._begin(wire, number, asked)
            refusal = model_errors.error(wire, 401, "Incorrect API key provided.")
            return web.json_response(refusal, status=401), "status 401"
        plan = self.planner.plan(asked)
        self._begin(wire, number, asked, plan, by=_key(request))
        if instead := await _instead(wire, plan):
            return instead, plan.fault
        return await _stream(request, wire, asked, plan)

    def _begin(
        self, wire: str, number: int, asked: Asked | None, plan: Plan | None = None, by: str = ""
    ) -> None:
        texts = asked.texts if asked else []
        begun = asked.conversation[0].text if asked and asked.conversation else ""
        self._ledger.write(
            event="begin",
            request=number,
            at=time.time(),
            wire=wire,
            by=by,
            model=asked.model if asked else "",
            # Stays the same as long as the conversation's first message is in its prompts.
            session=hashlib.sha256(begun.encode()).hexdigest()[:12],
            user=texts,
            nonces=[nonce for text in texts for nonce in NONCE.findall(text)],
            calls=[name for name, _ in plan.calls] if plan else [],
        )


def _key(request: web.Request) -> str:
    """The key that a client shows: by it the ledger tells one client from another."""
    bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
    return request.headers.get("x-api-key", bearer)


async def _instead(wire: str, plan: Plan) -> web.StreamResponse | None:
    """The response to a request that is answered by no stream."""
    headers = {"retry-after": plan.retry_after} if plan.retry_after else {}
    match plan.fault:
        case "status":
            body = model_errors.error(wire, plan.status, f"made up by a test: {plan.status}")
            return web.json_response(body, status=plan.status, headers=headers)
        case "billing" | "overflow":
            make = model_errors.billing if plan.fault == "billing" else model_errors.overflow
            status, body = make(wire)
            return web.json_response(body, status=status, headers=headers)
        case "html":
            return web.Response(text=LOGIN_PAGE, content_type="text/html")
        case "json":
            return web.json_response({"ok": True})
        case "redirect":
            return web.Response(status=307, headers={"location": "https://elsewhere.invalid/"})
        case "silent":
            await asyncio.sleep(3600)
    return None


async def _stream(
    request: web.Request, wire: str, asked: Asked, plan: Plan
) -> tuple[web.StreamResponse, str]:
    response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
    frames = RENDER[wire](asked, plan)
    if "crlf" in plan.marks:
        frames = [frame.replace(b"\n", b"\r\n") for frame in frames]
    if "comments" in plan.marks:
        frames = [b": still here\n\n" + frame for frame in frames]
    try:
        await response.prepare(request)
        if plan.fault:
            await model_faults.send_broken(request, response, wire, frames, plan)
        else:
            await model_faults.send(response, frames, plan)
        if plan.fault != "cut":
            await response.write_eof()
    except ConnectionError:
        return response, "disconnected"
    return response, plan.fault or "complete"


async def serve(server: ModelServer) -> None:
    """Serve until somebody asks for the end; then the ledger is completed."""
    asked_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked_to_stop.set)
    async with server:
        print(server.port, flush=True)  # noqa: T201 - whoever starts us reads it
        await asked_to_stop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ledger", type=Path, help="append what happens to this file")
    parser.add_argument("--words", type=int, default=0, help="answer with so many words, no echo")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds between two deltas")
    parser.add_argument("--key", help="refuse every other key")
    chosen = parser.parse_args()
    server = ModelServer(
        port=chosen.port,
        ledger=chosen.ledger,
        words=chosen.words,
        delay=chosen.delay,
        key=chosen.key,
    )
    try:
        import uvloop

        run: Callable[[Any], Any] = uvloop.run
    except ImportError:
        run = asyncio.run
    run(serve(server))


if __name__ == "__main__":
    main()
