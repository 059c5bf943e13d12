"""Fetches the files of a turn's messages, before its model is asked.

Not at the door: a stranger's file is never fetched, and whoever writes waits for no download. What
comes of a file is committed, so an attempt that goes on with the turn fetches only the rest. A file
that cannot be had is a sentence for the model and the person, never the end of the turn.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import TypeVar
from uuid import UUID

import msgspec

from opencraw.attachments import reading
from opencraw.attachments.attachments import Attachments, Pending
from opencraw.contract import Channel, Fetches
from opencraw.errors import NotFound, Refused, SlowDown, Unavailable, is_word_to_end
from opencraw.model import Message, Picture, UserMessage

log = logging.getLogger(__name__)

#: So many are fetched at once for one turn, and each may take so long on its way here.
AT_ONCE = 4
SECONDS = 60.0
#: … and so long altogether, with waiting for others to be read, and being read.
ALL_SECONDS = SECONDS + reading.PATIENCE_SECONDS + reading.SECONDS

M = TypeVar("M", bound=Message)

_GONE = "It is not on its platform any more."
_AWAY = "Its platform did not hand it out. Send it again."
_SLOW = "It took too long to come. Send it again."
_UNBEARABLE = "Something in OpenCraw went wrong when it was read."


class Fetching:
    """Has files brought by their channels, on whichever node runs the turn."""

    def __init__(self, attachments: Attachments, channels: Mapping[str, Channel]) -> None:
        self._attachments = attachments
        self._channels = channels

    async def pending(self, files: Sequence[UUID]) -> Sequence[Pending]:
        """Those of these files that somebody has to fetch."""
        return await self._attachments.pending(files)

    async def fetch(self, files: Sequence[Pending]) -> None:
        """Return when it is on record what came of each of these files. Raises `Unavailable` when
        that could not be written: what is on record by then stays."""
        free = asyncio.Semaphore(AT_ONCE)

        async def one(file: Pending) -> None:
            async with free:
                await self._one(file)

        try:
            async with asyncio.TaskGroup() as tasks:
                for file in files:
                    tasks.create_task(one(file))
        except ExceptionGroup as failed:
            # Whoever runs turns knows what it means, and nothing of groups.
            raise failed.exceptions[0] from None

    async def _one(self, file: Pending) -> None:
        limit = asyncio.timeout(SECONDS)
        try:
            async with limit:
                data = await self._bytes(file)
        except NotFound:
            # What is not found any more was not refused by us.
            await self._attachments.give_up(file, _GONE, refused=False)
        except Refused as refused:
            await self._attachments.give_up(file, str(refused), refused=True)
        except TimeoutError:
            problem = _SLOW if limit.expired() else _AWAY
            await self._attachments.give_up(file, problem, refused=False)
        except Unavailable as error:
            log.warning("a file from %s was not fetched: %s", file.channel, error)
            await self._attachments.give_up(file, _AWAY, refused=False)
        except (Exception, asyncio.CancelledError) as error:
            if is_word_to_end(error):
                raise
            # A defect of a channel. The turn goes on.
            log.exception("a file from %s was not fetched", file.channel)
            await self._attachments.give_up(file, _AWAY, refused=False)
        else:
            await self._keep(file, data)

    async def _keep(self, file: Pending, data: bytes) -> None:
        """Whose database is away is not the platform: that is for whoever runs the turn."""
        try:
            await self._attachments.store(file, data)
        except Refused as refused:
            is_ours = not isinstance(refused, SlowDown)
            await self._attachments.give_up(file, str(refused), refused=is_ours)
        except Unavailable:
            raise
        except Exception:
            # A file that its reader cannot bear. The turn goes on.
            log.exception("a file from %s was not read", file.channel)
            await self._attachments.give_up(file, _UNBEARABLE, refused=False)

    async def _bytes(self, file: Pending) -> bytes:
        settings = self._attachments.check(file)
        if file.is_here:
            return await self._attachments.handed_in(file)
        channel = self._channels.get(file.channel)
        if not isinstance(channel, Fetches):
            raise Unavailable("its channel fetches nothing here")
        return await channel.fetch(file.attachment, settings.max_bytes)

    async def with_pictures(self, messages: Sequence[M]) -> Sequence[M]:
        """The same messages, with the bytes of their pictures. One that is gone is left out: its
        line says that it was there."""
        wanted = [
            picture.id
            for message in messages
            if isinstance(message, UserMessage)
            for picture in message.pictures
        ]
        if not wanted:
            return messages
        found = await self._attachments.data(wanted)
        return [_filled(message, found) for message in messages]


def _filled(message: M, found: Mapping[UUID, bytes]) -> M:
    if not (isinstance(message, UserMessage) and message.pictures):
        return message
    pictures = tuple(
        Picture(each.id, each.content_type, each.tokens, found[each.id])
        for each in message.pictures
        if each.id in found
    )
    return msgspec.structs.replace(message, pictures=pictures)
