"""What becomes of each event that a bridge hands over."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Literal

import msgspec

from channels.http.events import (
    CHANNEL,
    UNREADABLE,
    Choose,
    Edit,
    Event,
    File,
    Message,
    React,
    read,
)
from channels.receiving import side_by_side, understood
from opencraw.contract import Attachment, Envelope, Gateway
from opencraw.errors import NotAdmitted, QueueFull, Refused, SlowDown, Unavailable

log = logging.getLogger(__name__)

Status = Literal["taken", "duplicate", "ignored", "refused", "invalid"]


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the bridge is told. None of it need be sent again."""

    id: str
    status: Status
    reason: str = ""
    #: For the person who pressed a button, and for nobody else.
    text: str = ""


async def take_all(gateway: Gateway, bodies: Iterable[bytes], most_files: int) -> list[Outcome]:
    """Return when all are durable or will never be taken, with an outcome for each: in order within
    a chat, chats side by side. Raises `Unavailable` when somewhere on the way nothing could be
    stored: offer all of them again, those that were taken do no harm."""
    events: dict[int, Event] = {}
    outcomes: dict[int, Outcome] = {}
    for number, raw in enumerate(bodies):
        event = await _understood(gateway, raw)
        if isinstance(event, Outcome):
            outcomes[number] = event
        else:
            events[number] = event

    async def take(each: tuple[int, Event]) -> None:
        number, event = each
        outcomes[number] = await _take(gateway, event, most_files)

    await side_by_side(events.items(), lambda each: each[1].address, take)
    return [outcomes[number] for number in sorted(outcomes)]


async def _understood(gateway: Gateway, raw: bytes) -> Event | Outcome:
    problem = "it cannot be understood"

    def translate() -> Event:
        nonlocal problem
        try:
            return read(raw)
        except UNREADABLE as error:
            problem = str(error)
            raise

    event = await understood(gateway, CHANNEL, "", raw, translate)
    return Outcome("", "invalid", problem) if event is None else event


async def _take(gateway: Gateway, event: Event, most_files: int) -> Outcome:
    try:
        return await _meant(gateway, event, most_files)
    except NotAdmitted as stranger:
        return Outcome(event.id, "ignored", stranger.code)
    except (Refused, QueueFull) as refused:
        text = str(refused) if isinstance(event, Choose) else ""
        return Outcome(event.id, "refused", str(refused), text)


async def _meant(gateway: Gateway, event: Event, most_files: int) -> Outcome:
    if isinstance(event, Message):
        return await _said(gateway, event, most_files)
    if isinstance(event, Choose):
        return Outcome(event.id, "taken", text=await gateway.choose(event.pick()))
    if isinstance(event, Edit):
        done = await gateway.amend(event.envelope())
    elif isinstance(event, React):
        done = await gateway.react(event.reaction())
    else:
        sender = event.sender.id if event.sender is not None else ""
        done = await gateway.retract(event.address, event.message, sender)
    return Outcome(event.id, "taken") if done else Outcome(event.id, "ignored", "nothing to change")


async def _said(gateway: Gateway, message: Message, most_files: int) -> Outcome:
    envelope = message.envelope()
    try:
        receipt = await gateway.accept(await _with_files(gateway, message, envelope, most_files))
    except NotAdmitted:
        raise
    except (Refused, QueueFull) as refused:
        text = f"This message was not taken: {refused}"
        await gateway.tell(envelope.address, text, reply_context=envelope.reply_context)
        raise
    return Outcome(message.id, "duplicate" if receipt.duplicate else "taken")


async def _with_files(
    gateway: Gateway, message: Message, envelope: Envelope, most: int
) -> Envelope:
    """Keep the first `most` files that were handed to us, where the message would be taken. One
    that is not taken stays a claim that nobody can fetch, so that its sender hears of it."""
    if all(file.data is None for file in message.attachments):
        return envelope
    if not await gateway.awaits(envelope):
        return envelope
    kept = [await _kept(gateway, file) for file in message.attachments[:most]]
    rest = envelope.attachments[most:]
    return msgspec.structs.replace(envelope, attachments=(*kept, *rest))


async def _kept(gateway: Gateway, file: File) -> Attachment:
    if file.data is None:
        return file.claim
    try:
        return await gateway.keep(CHANNEL, file.name, file.content_type, file.data, read=False)
    except SlowDown as busy:
        # The bridge has the bytes; nobody else would bring them again.
        raise Unavailable(str(busy), retry_after=busy.retry_after) from busy
    except Refused as refused:
        log.info("a file of %d bytes is not kept: %s", len(file.data), refused)
        return file.claim
