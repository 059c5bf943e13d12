"""From deliveries and drafts to messages on Discord.

Each part has a key of its own, by which Discord drops a second copy for some minutes. After that we
look ourselves whether what may have arrived is there.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import discord
import msgspec

from channels.discord import failures, wire
from channels.discord.dialect import discord_parts
from channels.discord.interactions import buttons
from channels.discord.places import Places
from channels.discord.rest import PAGE, Rest, bot_id
from opencraw.contract import Address, Delivery, PartSent

log = logging.getLogger(__name__)

#: For how long a key is safe to rely on. Discord says "a few minutes".
_KEY_SECONDS = 120.0
#: Our clock and Discord's may differ by so much.
_SKEW = timedelta(seconds=60)
#: A draft may have been put so long before its answer was written.
_DRAFTED = timedelta(minutes=4)
#: So far behind a delivery we look for it, in pages.
_MOST_PAGES = 20
NOBODY = {"parse": list[str]()}


class Outbound:
    """Sends what is final. Raises what is in `failures.TROUBLE`."""

    def __init__(self, rest: Rest, places: Places) -> None:
        self._rest = rest
        self._places = places
        #: Drafts with an edit whose fate is unknown: it may yet come.
        self._doubtful: set[str] = set()

    def surface(self, address: Address) -> ChannelSurface:
        """Where drafts are shown at an address."""
        return ChannelSurface(self._rest, self._places, address, self._doubtful)

    async def send(self, delivery: Delivery, sent: PartSent) -> None:
        """Bring the parts that are not there yet; the draft becomes the first of all."""
        channel_id = await self._places.channel_of(delivery.address)
        texts = discord_parts(delivery.line.text)
        last = len(texts) - 1
        for number in range(len(delivery.parts), len(texts)):
            below = buttons(delivery.choice) if delivery.choice and number == last else []
            body = _body(texts[number]) | {"components": below}
            there = ""
            if number == 0 and (draft := await self._draft_of(channel_id, delivery, body)):
                there = await self._becomes(channel_id, draft, body)
            if not there:
                body |= _reply(delivery.reply_context) if number == 0 else {}
                there = await self._put(channel_id, delivery, number, body)
            await sent(there)

    async def edit(self, address: Address, platform_id: str, text: str) -> None:
        """Have a message say something else, without buttons."""
        body = _body(_beginning(text)) | {"components": []}
        channel_id = await self._places.channel_of(address)
        await change(self._rest, channel_id, platform_id, body)

    async def _draft_of(self, channel_id: str, delivery: Delivery, body: Mapping[str, Any]) -> str:
        """The draft that becomes the first part; empty if there is none. Where nobody knows whether
        it is there, it is from now on."""
        if delivery.draft is not None or delivery.ends is None:
            return delivery.draft or ""
        key, final = _key(delivery.ends, "draft"), _letters(str(body["content"]))

        def begins(content: str) -> bool:
            return bool(content) and final.startswith(_letters(content))

        if _is_old(delivery):
            since = delivery.line.at - _DRAFTED
            there = await self._find(channel_id, delivery, key, since, begins)
            if there:
                return there
        return await post(self._rest, channel_id, {**body, **_reply(delivery.reply_context)}, key)

    async def _becomes(self, channel_id: str, draft: str, body: Mapping[str, Any]) -> str:
        """Make a draft the final message; empty if there is none to be made of it."""
        try:
            if draft in self._doubtful:
                # What may yet come must find no message.
                await self._remove(channel_id, draft)
                return ""
            await change(self._rest, channel_id, draft, body)
        except discord.NotFound as gone:
            if gone.code != failures.UNKNOWN_MESSAGE:
                raise
            return ""
        return draft

    async def _remove(self, channel_id: str, message_id: str) -> None:
        await self._rest.call(
            "DELETE",
            "/channels/{channel_id}/messages/{message_id}",
            ids={"channel_id": channel_id, "message_id": message_id},
        )
        self._doubtful.discard(message_id)

    async def _put(
        self, channel_id: str, delivery: Delivery, number: int, body: dict[str, Any]
    ) -> str:
        key = _key(delivery.delivery_id, number)
        tried = delivery.recovered and number == len(delivery.parts)
        if tried and _is_old(delivery):
            words = str(body["content"]).split()
            since = delivery.line.at - _SKEW
            there = await self._find(
                channel_id, delivery, key, since, lambda content: content.split() == words
            )
            if there:
                return there
        return await post(self._rest, channel_id, body, key)

    async def _find(
        self,
        channel_id: str,
        delivery: Delivery,
        key: str,
        since: datetime,
        matches: Callable[[str], bool],
    ) -> str:
        """The message that somebody long ago may have left; empty if there is none. Where Discord
        does not tell its key, what it says has to match."""
        after = wire.snowflake_at(since)
        ours = bot_id(self._rest.token)
        known = {*delivery.parts, *delivery.others}
        for _ in range(_MOST_PAGES):
            page = await self._rest.messages(channel_id, after=str(after))
            for message in _readable(page):
                after = max(after, int(message.id))
                if message.author.id != ours or message.id in known:
                    continue
                if message.nonce == key or (message.nonce is None and matches(message.content)):
                    return message.id
            if len(page) < PAGE:
                return ""
        log.warning("discord: channel %s says too much to find what was sent there", channel_id)
        return ""


class ChannelSurface:
    """One address, on which drafts are shown. Raises a `DeliveryFailure`."""

    stays = True
    idempotent = True

    def __init__(self, rest: Rest, places: Places, address: Address, doubtful: set[str]) -> None:
        self._rest = rest
        self._places = places
        self._address = address
        self._doubtful = doubtful

    async def put(self, turn_id: UUID, text: str, reply_context: str) -> str:
        with _translated():
            channel_id = await self._places.channel_of(self._address)
            body = _body(_beginning(text)) | _reply(reply_context)
            return await post(self._rest, channel_id, body, _key(turn_id, "draft"))

    async def change(self, platform_id: str, text: str) -> None:
        with _translated():
            channel_id = await self._places.channel_of(self._address)
            self._doubtful.add(platform_id)
            await change(self._rest, channel_id, platform_id, _body(_beginning(text)))
            self._doubtful.discard(platform_id)

    async def type(self) -> None:
        with _translated():
            channel_id = await self._places.channel_of(self._address)
            await self._rest.call(
                "POST", "/channels/{channel_id}/typing", ids={"channel_id": channel_id}
            )


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except failures.TROUBLE as error:
        raise failures.of_delivery(error) from error


async def post(rest: Rest, channel_id: str, body: Mapping[str, Any], key: str) -> str:
    """Put a message into a channel, or find that `key` is there; returns its id."""
    made = await rest.call(
        "POST",
        "/channels/{channel_id}/messages",
        json={**body, "nonce": key, "enforce_nonce": True},
        ids={"channel_id": channel_id},
    )
    return str(made["id"])


async def change(rest: Rest, channel_id: str, message_id: str, body: Mapping[str, Any]) -> None:
    """Have a message of ours say something else."""
    await rest.call(
        "PATCH",
        "/channels/{channel_id}/messages/{message_id}",
        json=body,
        ids={"channel_id": channel_id, "message_id": message_id},
    )


def _readable(page: Sequence[Any]) -> Iterator[wire.Message]:
    """What is not to be understood is not ours, and no reason to send nothing."""
    for raw in page:
        with contextlib.suppress(msgspec.ValidationError):
            yield msgspec.convert(raw, wire.Message)


def _body(text: str) -> dict[str, Any]:
    return {"content": text, "allowed_mentions": NOBODY}


def _reply(message_id: str) -> dict[str, Any]:
    """The message that is answered, where others write in between."""
    if not message_id:
        return {}
    answered = {"message_id": message_id, "fail_if_not_exists": False}
    return {"message_reference": answered}


def _beginning(text: str) -> str:
    """As much of a text as is the first of its messages."""
    return next(iter(discord_parts(text)), "…")


def _is_old(delivery: Delivery) -> bool:
    """Discord may have forgotten its keys."""
    return datetime.now(UTC) - delivery.line.at > timedelta(seconds=_KEY_SECONDS)


def _letters(text: str) -> str:
    """A text without its blanks, and without marks at its end, which a draft closes early."""
    return "".join(text.split()).rstrip("*~|`_")


def _key(of: UUID, part: int | str) -> str:
    return hashlib.blake2b(f"{of}:{part}".encode(), digest_size=12).hexdigest()
