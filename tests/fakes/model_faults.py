"""How an answer is sent, whole or broken in the way that a directive names."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from tests.fakes import model_errors, model_wire
from tests.fakes.model_plan import Plan

#: Which frame of each format brings the first word.
FIRST_WORD = {"chat": 1, "responses": 4, "messages": 3}
HUGE_LINE_BYTES = 10_000_000

Frames = Sequence[bytes]


async def send(response: web.StreamResponse, frames: Frames, plan: Plan) -> None:
    """Write frames as slowly or in as small bits as the plan wants, or else in one write."""
    if plan.drip:
        whole = b"".join(frames)
        for place in range(0, len(whole), plan.drip):
            await response.write(whole[place : place + plan.drip])
            await asyncio.sleep(0)  # let each write become a packet of its own
    elif plan.delay:
        for frame in frames:
            await response.write(frame)
            await asyncio.sleep(plan.delay)
    elif frames:
        await response.write(b"".join(frames))


async def send_broken(
    request: web.Request, response: web.StreamResponse, wire: str, frames: Frames, plan: Plan
) -> None:
    """Send the first half, then break. Faults without a function just end here, too early."""
    middle = len(frames) // 2
    if plan.fault == "endless":
        middle = FIRST_WORD[wire] + 1
    await send(response, frames[:middle], plan)
    if plan.fault == "cut":
        await response.write(frames[middle][: len(frames[middle]) // 2])
        if request.transport is not None:
            request.transport.close()
    elif breaks := _FAULTS.get(plan.fault):
        await breaks(response, wire, frames, plan)


async def _stall(*_: object) -> None:
    await asyncio.sleep(3600)


async def _pings(response: web.StreamResponse, wire: str, _: Frames, plan: Plan) -> None:
    ping = model_wire.named({"type": "ping"}) if wire == "messages" else b": ping\n\n"
    while True:
        await response.write(ping)
        await asyncio.sleep(plan.delay or 0.01)


async def _endless(response: web.StreamResponse, wire: str, frames: Frames, plan: Plan) -> None:
    word = frames[FIRST_WORD[wire]]
    while True:
        await response.write(word if plan.delay else word * 50)
        await asyncio.sleep(plan.delay or 0.001)


async def _huge_line(response: web.StreamResponse, *_: object) -> None:
    await response.write(b"data: ")
    for _number in range(HUGE_LINE_BYTES // 65_536 + 1):
        await response.write(b"x" * 65_536)


async def _garbage(response: web.StreamResponse, wire: str, frames: Frames, _: Plan) -> None:
    await response.write(model_errors.GARBAGE + b"".join(frames[len(frames) // 2 :]))


async def _missing(response: web.StreamResponse, wire: str, frames: Frames, _: Plan) -> None:
    await response.write(model_errors.missing(wire) + b"".join(frames[len(frames) // 2 :]))


async def _error(response: web.StreamResponse, wire: str, *_: object) -> None:
    await response.write(model_errors.in_stream(wire))


_FAULTS: dict[str, Callable[[web.StreamResponse, str, Frames, Plan], Awaitable[None]]] = {
    "stall": _stall,
    "pings": _pings,
    "endless": _endless,
    "huge-line": _huge_line,
    "garbage": _garbage,
    "missing": _missing,
    "error-mid-stream": _error,
}
