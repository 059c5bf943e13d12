"""A fake chat platform without idempotency keys: one long poll, one send, and bad days.

    python -m tests.fakes.channel_server --port 0 --ledger FILE --seed 7

prints its port and serves until it is killed:

    GET  /updates?offset=N&timeout=S   what people wrote, from number N; confirms all before N
    POST /send {"chat","text"}         show a text to people; `delivery_id` is for the ledger only
    POST /_say {"messages":[…]}        people write: a list of {"chat","text"}
    POST /_control {…}                 `rates`, `seed`, `poll_faults`, `garbage`, `rewind`
    GET  /_control                     what has been written, confirmed and shown so far

What goes wrong with a send is decided by a directive in its text, as in `{{dropped}}` or
`{{limited 0.5 times 2}}` (once each unless it says how often), or else by dice with a seed, as
often as `rates` say. `taken` means that people see the message all the same:

    limited      429 with retry_after, not taken        unavailable  503, not taken
    failed       500, not taken                         failed-after 500, taken
    dropped      the connection breaks, taken           lost         it breaks, not taken
    slow         the answer takes seconds, taken        silent       no answer ever, taken
    forbidden    403, never                             too-long     400, never

The ledger is the platform's own account: a line for everything that people wrote (`said`), that the
client confirmed (`confirmed`), that people were shown (`shown`), and that was refused (`refused`).
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import web

from tests.fakes.serving import Service

#: How a client without keys tells people that they may have read this before.
AGAIN = "(again) "
DIRECTIVE = re.compile(r"\{\{([a-z-]+)(?: ([\d.]+))?(?: times (\d+))?\}\}")
MOST_IN_A_POLL = 100
SLOW_SECONDS = 0.5
RETRY_AFTER_SECONDS = 0.2

#: The status of an answer, and whether people are shown the message; 0 is no answer at all.
FAULTS: Mapping[str, tuple[int, bool]] = {
    "": (200, True),
    "limited": (429, False),
    "unavailable": (503, False),
    "failed": (500, False),
    "failed-after": (500, True),
    "dropped": (0, True),
    "lost": (0, False),
    "slow": (200, True),
    "silent": (0, True),
    "forbidden": (403, False),
    "too-long": (400, False),
}


class Fault(NamedTuple):
    """What goes wrong with one send; a `name` of "" is a good day."""

    name: str
    seconds: float | None = None


class Weather:
    """Decides which sends go wrong: what a text asks for, or else the dice."""

    def __init__(self, seed: int, rates: Mapping[str, float]) -> None:
        self.rates = dict(rates)
        self.dice = random.Random(seed)
        self._done: Counter[str] = Counter()

    def over(self, text: str) -> Fault:
        asked = DIRECTIVE.search(text)
        if asked is not None:
            name, seconds, times = asked.groups()
            message = text.removeprefix(AGAIN)
            self._done[message] += 1
            due = self._done[message] <= int(times or 1)
            return Fault(name, float(seconds) if seconds else None) if due else Fault("")
        chance = self.dice.random()
        for name, rate in self.rates.items():
            chance -= rate
            if chance < 0:
                return Fault(name)
        return Fault("")


class ChannelServer(Service):
    """Use as `async with ChannelServer() as server:`, or as a process that outlives the daemon."""

    def __init__(
        self,
        *,
        port: int = 0,
        ledger: Path | None = None,
        seed: int = 0,
        rates: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(port, ledger)
        self.weather = Weather(seed, rates or {})
        #: So often a poll is answered by a broken connection.
        self.poll_faults = 0.0
        #: So many polls are answered by something that nobody understands.
        self.garbage = 0
        #: Everything people wrote; a number is a place in this list.
        self.updates: list[dict[str, Any]] = []
        self.confirmed = 0
        self.shown = 0
        self._news = asyncio.Event()
        self.app.router.add_get("/updates", self._poll)
        self.app.router.add_post("/send", self._send)
        self.app.router.add_post("/_say", self._say)
        self.app.router.add_get("/_control", self._tell)
        self.app.router.add_post("/_control", self._control)

    # What a client sees.

    async def _poll(self, request: web.Request) -> web.StreamResponse:
        offset = int(request.query.get("offset", self.confirmed))
        if offset > self.confirmed:
            self.confirmed = min(offset, len(self.updates))
            self._ledger.write(event="confirmed", offset=self.confirmed, at=time.time())
        if self.weather.dice.random() < self.poll_faults:
            return _broken(request)
        if self.garbage:
            self.garbage -= 1
            return web.json_response({"updates": [{"neither": "chat", "nor": "text"}]})
        with suppress(TimeoutError):
            async with asyncio.timeout(float(request.query.get("timeout", 0))):
                while offset >= len(self.updates):
                    await self._news.wait()
        return web.json_response({"updates": self.updates[offset : offset + MOST_IN_A_POLL]})

    async def _send(self, request: web.Request) -> web.StreamResponse:
        message = await request.json()
        fault = self.weather.over(message["text"])
        status, taken = FAULTS[fault.name]
        if taken:
            self.shown += 1
        self._ledger.write(
            event="shown" if taken else "refused",
            at=time.time(),
            chat=message["chat"],
            text=message["text"],
            again=message["text"].startswith(AGAIN),
            delivery_id=message.get("delivery_id"),
            fault=fault.name,
        )
        match fault.name:
            case "slow":
                await asyncio.sleep(SLOW_SECONDS if fault.seconds is None else fault.seconds)
            case "silent":
                await asyncio.sleep(3600)
            case "limited":
                wish = RETRY_AFTER_SECONDS if fault.seconds is None else fault.seconds
                return web.json_response({"retry_after": wish}, status=status)
        if not status:
            return _broken(request)
        return web.json_response({"ok": status == 200}, status=status)

    # What a test does.

    async def _say(self, request: web.Request) -> web.Response:
        for message in (await request.json())["messages"]:
            number = len(self.updates)
            self.updates.append({"id": number, **message})
            self._ledger.write(event="said", id=number, at=time.time(), **message)
        news, self._news = self._news, asyncio.Event()
        news.set()
        return await self._tell(request)

    async def _control(self, request: web.Request) -> web.Response:
        """`rewind` makes the platform forget what was confirmed: it will offer all that again."""
        body = await request.json()
        if "rates" in body:
            self.weather = Weather(body.get("seed", 0), body["rates"])
        self.poll_faults = body.get("poll_faults", self.poll_faults)
        self.garbage = body.get("garbage", self.garbage)
        if body.get("rewind"):
            self.confirmed = 0
        return await self._tell(request)

    async def _tell(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {"said": len(self.updates), "confirmed": self.confirmed, "shown": self.shown}
        )


def _broken(request: web.Request) -> web.StreamResponse:
    """Break the connection; the response that is returned reaches nobody."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def serve(server: ChannelServer) -> None:
    """Serve until somebody asks for the end."""
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
    parser.add_argument("--seed", type=int, default=0, help="of the dice")
    chosen = parser.parse_args()
    asyncio.run(serve(ChannelServer(port=chosen.port, ledger=chosen.ledger, seed=chosen.seed)))


if __name__ == "__main__":
    main()
