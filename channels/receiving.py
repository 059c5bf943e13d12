"""How every channel hands in what it receives: again and again until it is durable."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from opencraw.contract import Address, Envelope, Gateway, Receipt
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


async def offer(gateway: Gateway, envelope: Envelope) -> Receipt | None:
    """Return once the message is durable, or None once it is refused for good: either way it may be
    acknowledged. While nothing can be stored it is offered again; cancel this to give up."""
    while True:
        try:
            return await gateway.accept(envelope)
        except NotAdmitted:
            return None
        except (Refused, QueueFull) as refused:
            # Who waits for a full lane keeps everybody waiting, and /stop, which makes room.
            await _tell(gateway, envelope, f"This message was not taken: {refused}")
            return None
        except Unavailable as away:
            await asyncio.sleep(away.retry_after)


async def offer_all(gateway: Gateway, envelopes: Iterable[Envelope]) -> list[Receipt | None]:
    """Offer what one poll brought: in order within a chat, chats side by side. Returns once all of
    them may be acknowledged, with an answer for each."""
    order = list(envelopes)
    chats: dict[Address, list[int]] = {}
    for index, envelope in enumerate(order):
        chats.setdefault(envelope.address, []).append(index)
    answers: list[Receipt | None] = [None] * len(order)

    async def offer_chat(indexes: list[int]) -> None:
        for index in indexes:
            answers[index] = await offer(gateway, order[index])

    async with asyncio.TaskGroup() as chats_at_once:
        for indexes in chats.values():
            chats_at_once.create_task(offer_chat(indexes))
    return answers


async def understood(
    gateway: Gateway, channel: str, account: str, raw: object, translate: Callable[[], T]
) -> T | None:
    """Return what `translate` makes of an event. One that cannot be understood is put aside as
    `raw`, and None says to go on with the next."""
    try:
        return translate()
    except DEFECTS as defect:
        problem = f"{type(defect).__name__}: {defect}"[:_PROBLEM_CHARACTERS]
    log.warning(
        "an event of %s cannot be understood (%s); it was put aside, the channel goes on",
        channel,
        problem,
    )
    payload = _kept(raw)
    while True:
        try:
            await gateway.quarantine(channel, account, payload, problem)
        except Unavailable as away:
            await asyncio.sleep(away.retry_after)
        else:
            return None


async def _tell(gateway: Gateway, envelope: Envelope, text: str) -> None:
    while True:
        try:
            await gateway.tell(envelope.address, text, reply_context=envelope.reply_context)
        except Unavailable as away:
            await asyncio.sleep(away.retry_after)
        except Refused as refused:
            log.warning("could not say that a message was not taken: %s", refused)
            return
        else:
            return


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
