"""Files in the database: handed to us or fetched, refused or stored, and given back.

Rows are made in the commit that accepts their message (see `Inbox.accept`). What is known then are
claims; the bytes come when the turn that reads them begins.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from opencraw.attachments.kinds import Kind, check_claim, kind_of
from opencraw.attachments.reading import Reader, Reading
from opencraw.contract import Attachment
from opencraw.errors import NotFound, Refused, SlowDown
from opencraw.sessions.files import KEPT, display_name, type_of
from opencraw.settings import AttachmentSettings
from opencraw.store.database import Database
from opencraw.store.queries import load
from opencraw.store.text import storable

SQL = load("opencraw.attachments", "attachments.sql")

#: For so long a file waits for the message that brings it along.
KEPT_FOR = timedelta(hours=1)
#: What one channel may hand to us within a minute, in bytes: nobody has accepted any of it yet.
KEPT_PER_MINUTE = 200_000_000
_MINUTE = 60.0
#: Pictures of the prompts that are being written are asked for again at every step.
CACHE_BYTES = 32_000_000
_MOST_DROPPED = 100
_NOTHING = AttachmentSettings(max_bytes=0)


@dataclass(frozen=True, slots=True)
class Pending:
    """A file that somebody has to fetch, or only to read. `content_type` and `size` are claims."""

    id: UUID
    position: int
    name: str
    content_type: str
    size: int | None
    channel: str
    source: str
    #: Who sent it.
    whose: str
    #: It was handed to us, and nobody has read it.
    is_here: bool

    @property
    def attachment(self) -> Attachment:
        """As its channel handed it in."""
        return Attachment(self.name, self.content_type, self.source, self.size)


@dataclass(frozen=True, slots=True)
class Stored:
    """A file as it is given back."""

    name: str
    content_type: str
    data: bytes


class Attachments:
    """The files of this deployment. `settings` are those of each channel that takes any."""

    def __init__(
        self,
        database: Database,
        settings: Mapping[str, AttachmentSettings],
        reader: Reader | None = None,
    ) -> None:
        self._database = database
        self._settings = settings
        self._reader = reader or Reader()
        self._cache = _Cache()
        self._taken = _Taken()

    def settings(self, channel: str) -> AttachmentSettings:
        """Which files people may send there."""
        return self._settings.get(channel, _NOTHING)

    async def keep(
        self, channel: str, name: str, content_type: str, data: bytes, *, read: bool = True
    ) -> Attachment:
        """Store a file for an envelope that follows within the hour. Documents are read at once, or
        by the turn. Raises `Refused` for what is not taken and for documents of which nothing can
        be read, and `SlowDown` for what may be handed in again; the text is for people."""
        settings = self.settings(channel)
        name = display_name(storable(name))
        claimed = type_of(content_type, name)
        check_claim(claimed, len(data), settings)
        self._taken.note(channel, len(data))
        kind = kind_of(claimed, data, settings)
        is_read = read or not kind.is_document
        reading = await self._read(kind, data, channel) if is_read else None
        file = uuid4()
        source, state = f"{KEPT}{file}", "stored" if is_read else "pending"
        content_type = kind.content_type if is_read else claimed
        await self._database.fetch(
            SQL.keep, file, name, content_type, len(data), channel, source, state, data,
            *_columns(kind, reading),
        )  # fmt: skip
        return Attachment(name, kind.content_type, source, len(data))

    async def pending(self, files: Sequence[UUID]) -> Sequence[Pending]:
        """Those of these files that nobody has fetched yet, in their order."""
        records = await self._database.fetch(SQL.pending, files)
        return [Pending(**record) for record in records]

    def check(self, file: Pending) -> AttachmentSettings:
        """The limits for a file. Raises `Refused` for one that need not be fetched."""
        settings = self.settings(file.channel)
        if file.position >= settings.max_per_message:
            raise Refused(f"Of a message's files the first {settings.max_per_message} are taken.")
        check_claim(file.content_type, file.size, settings)
        return settings

    async def handed_in(self, file: Pending) -> bytes:
        """The bytes of a file that is here. Raises `NotFound` once there are none."""
        records = await self._database.fetch(SQL.data, [file.id])
        if not records:
            raise NotFound("It is not here any more.")
        data: bytes = records[0]["data"]
        return data

    async def store(self, file: Pending, data: bytes) -> None:
        """Keep what was fetched. Raises `Refused` for what is not taken; the text is for people."""
        settings = self.settings(file.channel)
        kind = kind_of(file.content_type, data, settings)
        reading = await self._read(kind, data, file.whose)
        await self._database.fetch(
            SQL.store, file.id, kind.content_type, data, *_columns(kind, reading)
        )

    async def give_up(self, file: Pending, problem: str, *, refused: bool) -> None:
        """Note that there will be nothing of a file, and why."""
        state = "refused" if refused else "failed"
        await self._database.commit(SQL.give_up, (file.id, state, storable(problem)))

    async def data(self, files: Sequence[UUID]) -> Mapping[UUID, bytes]:
        """The bytes of these files, as far as there are any."""
        found = self._cache.find(files)
        missing = [each for each in files if each not in found]
        if missing:
            for record in await self._database.fetch(SQL.data, missing):
                found[record["id"]] = record["data"]
                self._cache.put(record["id"], record["data"])
        return found

    async def one(self, file: UUID) -> Stored:
        """A file of some message. Raises `NotFound`."""
        records = await self._database.fetch(SQL.one, file)
        if not records:
            raise NotFound("There is no such file, or there is nothing of it any more.")
        return Stored(**records[0])

    async def sweep(self, now: datetime) -> None:
        """Drop what was handed to us and came with no message."""
        [found] = await self._database.fetch(SQL.left_over, now - KEPT_FOR, _MOST_DROPPED)
        if found["ids"]:
            await self._database.commit(SQL.drop_files, (",".join(map(str, found["ids"])),))

    async def _read(self, kind: Kind, data: bytes, whose: str) -> Reading | None:
        if not kind.is_document:
            return None
        reading = await self._reader.read(kind, data, whose)
        return Reading(storable(reading.text).strip(), reading.cut)


def _columns(kind: Kind, reading: Reading | None) -> tuple[object, ...]:
    text, cut = (None, False) if reading is None else (reading.text, reading.cut)
    return (text, cut, kind.width or None, kind.height or None)


class _Cache:
    """The bytes that were asked for last."""

    def __init__(self) -> None:
        self._known: OrderedDict[UUID, bytes] = OrderedDict()
        self._size = 0

    def find(self, files: Iterable[UUID]) -> dict[UUID, bytes]:
        found = {each: self._known[each] for each in files if each in self._known}
        for each in found:
            self._known.move_to_end(each)
        return found

    def put(self, file: UUID, data: bytes) -> None:
        if file in self._known or len(data) > CACHE_BYTES:
            return
        self._known[file] = data
        self._size += len(data)
        while self._size > CACHE_BYTES:
            _, dropped = self._known.popitem(last=False)
            self._size -= len(dropped)


class _Taken:
    """How many bytes each channel handed to us lately: the disk is everybody's."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[float, int]] = {}

    def note(self, channel: str, size: int) -> None:
        """Raises `SlowDown` when it is too much."""
        now = time.monotonic()
        began, taken = self._since.get(channel, (now, 0))
        if now - began > _MINUTE:
            began, taken = now, 0
        if taken + size > KEPT_PER_MINUTE:
            left = _MINUTE - (now - began)
            raise SlowDown("Too many files at once; try again in a minute.", retry_after=left)
        self._since[channel] = (began, taken + size)
