"""How every channel hands in what it receives: again and again until it is durable."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Iterable
from functools import partial
from typing import TypeVar

import msgspec

from opencraw.contract import Envelope, Gateway, Receipt
from opencraw.errors import NotAdmitted, QueueFull, Refused, Unavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

#: How much of an event that cannot be understood is kept for whoever looks into it.
KEPT_BYTES = 64 * 1024
#: What code that reads somebody else's data raises when the data is not what it should be.
DEFECTS = (
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    msgspec.MsgspecError,
)
_PROBLEM_CHARACTERS = 500
#: For so many seconds whoever receives waits by itself when its platform asks for a pause.
SHORT_WISH = 1.0


async def lasting(call: Callable[[], Awaitable[T]]) -> T:
    """The answer to a call of our gateway, which is made again as long as the store is away; cancel
    this to give up. A full lane is an answer: whoever waited for it would keep everybody waiting,
    and /stop, which makes room."""
    while True:
        try:
            return await call()
        except QueueFull:
            raise
        except Unavailable as away:
            await asyncio.sleep(away.retry_after)


async def answered(call: Callable[[], Awaitable[T]]) -> T:
    """The answer to a call of a platform, which is made again as long as that is away. Raises
    `Unavailable` where the platform wishes for a longer pause: whoever slept in `run` would hear
    nothing, be started again, and ask too early; so the host waits, and says so."""
    while True:
        try:
            return await call()
        except Unavailable as away:
            if away.retry_after > SHORT_WISH:
                raise
            await asyncio.sleep(SHORT_WISH)


async def offer(gateway: Gateway, envelope: Envelope) -> Receipt | None:
    """Return once the message is durable, or None once it is refused for good: either way it may be
    acknowledged."""
    try:
        return await lasting(partial(gateway.accept, envelope))
    except NotAdmitted:
        return None
    except (Refused, QueueFull) as refused:
        await tell(gateway, envelope, f"This message was not taken: {refused}")
        return None


async def tell(gateway: Gateway, envelope: Envelope, text: str) -> None:
    """Answer a message that was not taken, if that can be: to do without is no reason to stop."""
    answer = partial(gateway.tell, envelope.address, text, reply_context=envelope.reply_context)
    try:
        await lasting(answer)
    except (Refused, QueueFull) as refused:
        log.warning("could not say that a message was not taken: %s", refused)


async def side_by_side(
    items: Iterable[T], chat: Callable[[T], Hashable], take: Callable[[T], Awaitable[object]]
) -> None:
    """Return when all of them were taken: in order within a chat, chats side by side. The first
    that fails ends the others, and is raised by itself."""
    chats: dict[Hashable, list[T]] = {}
    for item in items:
        chats.setdefault(chat(item), []).append(item)

    async def in_order(those: Iterable[T]) -> None:
        for item in those:
            await take(item)

    try:
        async with asyncio.TaskGroup() as at_once:
            for those in chats.values():
                at_once.create_task(in_order(those))
    except ExceptionGroup as failures:
        # Whoever asked knows what it means, and nothing of groups.
        raise failures.exceptions[0] from None


async def understood(
    gateway: Gateway, channel: str, account: str, raw: object, translate: Callable[[], T]
) -> T | None:
    """Return what `translate` makes of an event. One that cannot be understood is put aside as
    `raw`, and None says to go on with the next."""
    try:
        return translate()
    except DEFECTS as defect:
        problem = f"{type(defect).__name__}: {defect}"[:_PROBLEM_CHARACTERS]
    await lasting(partial(gateway.quarantine, channel, account, _kept(raw), problem))
    return None


def _kept(raw: object) -> str:
    """The event as text, as much of it as is kept."""
    if isinstance(raw, str):
        written = raw.encode("utf-8", "replace")
    elif isinstance(raw, bytes):
        written = raw
    else:
        try:
            written = msgspec.json.encode(raw, enc_hook=repr)
        except DEFECTS:
            # Nested too deep, or half a surrogate pair: any trace of it is better than none.
            written = repr(raw).encode("utf-8", "replace")
    return written[:KEPT_BYTES].decode("utf-8", "replace")
