"""Conversations: read back for a model as entries and for people as lines, and what commands do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from itertools import takewhile
from typing import Literal
from uuid import UUID, uuid4

import msgspec
from msgspec.structs import astuple

from opencraw.contract import (
    DEFAULT_TENANT,
    Address,
    ChatType,
    Choice,
    Envelope,
    Line,
    Waiting,
)
from opencraw.errors import Unavailable
from opencraw.hooks import Hooks, Point
from opencraw.model import Thinking, ToolCall
from opencraw.sessions.change import Change, Reset, Stop, columns
from opencraw.sessions.choice import QueueChoice
from opencraw.sessions.files import File, claims, files_of, shown
from opencraw.sessions.keys import AGENT, Conversation, reply_id
from opencraw.store.database import Database, Record
from opencraw.store.queries import load
from opencraw.store.text import storable

SQL = load("opencraw.sessions", "sessions.sql")

#: So many of the messages that gave up their places are shown.
MOST_OVERFLOWED = 100
#: Beyond every line.
NO_END = 2**62
_tool_calls = msgspec.json.Decoder(tuple[ToolCall, ...])
_choice = msgspec.json.Decoder(Choice)
_thinking = msgspec.json.Decoder(tuple[Thinking, ...])


class Entry(msgspec.Struct, frozen=True):
    """One line of the transcript. Which fields mean something depends on `kind`."""

    seq: int
    kind: Literal["user", "assistant", "tool_started", "tool_result", "checkpoint", "recalled"]
    text: str
    turn_id: UUID
    #: Of a text that is too long to be read whole: its end, and how long it is altogether.
    tail: str = ""
    size: int = 0
    disposition: Literal["asked", "injected", "superseded", "summarized"] | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    thinking: tuple[Thinking, ...] = ()
    call_id: str = ""
    tool_name: str = ""
    failed: bool = False
    interrupted: bool = False
    #: Of a checkpoint: the last entry that it sums up.
    covers: int | None = None
    #: Of recalled memories: which.
    items: tuple[UUID, ...] = ()
    #: Of what somebody said: who, under a name of his own choice, and with which rights. Both are
    #: empty where that is not known.
    speaker: str = ""
    rights: str = ""
    #: When it was written down.
    at: datetime | None = None
    #: Of what somebody said: the files that came with it.
    files: tuple[File, ...] = ()

    @property
    def awaits_files(self) -> bool:
        """Whether nobody has fetched its files yet: it will be another line then."""
        return any(file.is_awaited for file in self.files)


@dataclass(frozen=True, slots=True)
class View:
    """What prompts show of a conversation. The marks are numbers of entries and move seldom."""

    #: Prompts begin after this entry.
    begin_seq: int = 0
    #: Something came before it and is not shown, other than by a person's wish to begin anew.
    left_out: bool = False
    #: The entry that sums up what came before; 0 is none.
    checkpoint_seq: int = 0
    #: Up to this entry results of tools are shown short, and recalled memories not at all.
    pruned_seq: int = 0
    #: Up to this entry what was said has gone into memory.
    flushed_seq: int = 0
    #: A person asked for a summary; the text says what to keep in focus.
    compaction_wanted: str | None = None
    #: Part of the marks around what others wrote.
    fence: str = ""
    #: Who listens there; None is not known.
    chat_type: str | None = None


@dataclass(frozen=True, slots=True)
class Transcript:
    """A conversation read back for a model: its entries in view, oldest first. The entry that sums
    up what came before is among them, wherever prompts begin."""

    view: View
    entries: Sequence[Entry]

    @property
    def awaited_files(self) -> list[UUID]:
        """The files that nobody has fetched yet."""
        return [file.id for entry in self.entries for file in entry.files if file.is_awaited]


@dataclass(frozen=True, slots=True)
class Session:
    """A conversation's settings and sums, at one moment."""

    id: UUID
    key: str
    created_at: datetime
    last_active_at: datetime
    choice: QueueChoice
    #: None is not known: nobody has written there yet.
    chat_type: str | None
    #: Whether the assistant speaks here; None leaves it to the rules.
    sends: bool | None
    model: str | None
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    waiting: int
    running: bool
    #: None follows the configuration.
    time_zone: str | None = None


class _Remembered:
    """Entries of the conversations that were read last, within a budget of characters."""

    BUDGET = 8_000_000
    #: What an entry weighs beside its texts.
    WEIGHT = 500

    def __init__(self) -> None:
        self._entries: dict[UUID, tuple[Sequence[Entry], int]] = {}
        self._size = 0

    def take(self, session: UUID) -> Sequence[Entry]:
        """Give and forget: two readers at once would otherwise put back what the other outdated."""
        entries, size = self._entries.pop(session, ((), 0))
        self._size -= size
        return entries

    def put(self, session: UUID, entries: Sequence[Entry]) -> None:
        self.take(session)
        size = sum(self._weight(entry) for entry in entries)
        self._entries[session] = (entries, size)
        self._size += size
        while self._size > self.BUDGET and self._entries:
            self.take(next(iter(self._entries)))

    def _weight(self, entry: Entry) -> int:
        texts = len(entry.text) + len(entry.tail)
        calls = sum(len(call.arguments) for call in entry.tool_calls)
        thinking = sum(len(each.text) + len(each.signature) for each in entry.thinking)
        files = sum(len(each.text or "") + self.WEIGHT for each in entry.files)
        return texts + calls + thinking + files + self.WEIGHT


class Sessions:
    """Conversations, read back and changed outside of turns."""

    def __init__(self, database: Database, hooks: Hooks | None = None) -> None:
        self._database = database
        self._hooks = hooks or Hooks()
        self._read = _Remembered()

    async def transcript(self, session: UUID, *, longest: int, limit: int) -> Transcript:
        """What prompts show of a conversation, with its newest `limit` entries in view. Of a text
        longer than `longest` characters only its beginning and its end are read.

        `longest` and `limit` are the same at every call. What was read before is remembered for a
        while: lines never change and are numbered in the order of their commits, so only newer ones
        have to be asked for; and those whose files are still to come.
        """
        known = self._read.take(session)
        after = known[-1].seq if known else 0
        records = await self._database.fetch(SQL.transcript, session, after, limit, longest)
        if not records:
            return Transcript(View(), ())
        view = _view(records[0])
        fresh = [entry_of(record) for record in reversed(records) if record["seq"] is not None]
        entries = _in_view([*known, *fresh], view, limit)
        self._read.put(session, tuple(takewhile(lambda each: not each.awaits_files, entries)))
        return Transcript(view, entries)

    async def lines(
        self, session: UUID, reader: Address, *, before: int | None, after: int, limit: int
    ) -> Sequence[Line]:
        """What people saw: the newest `limit` lines with `after < seq < before`, oldest first.

        Not what hooks may still change; nor, if it goes out on the reader's channel, what comes
        after it.
        """
        end = before if before is not None else NO_END
        hooked = self._hooks.at(Point.MESSAGE_SENDING)
        row = (session, after, end, limit, hooked, reader.channel)
        records = await self._database.fetch(SQL.lines, *row)
        return [
            Line(
                **{
                    **record,
                    "tools": tuple(record["tools"]),
                    "files": shown(record["files"]),
                    "choice": _choice.decode(record["choice"]) if record["choice"] else None,
                }
            )
            for record in reversed(records)
        ]

    async def pending(self, session: UUID) -> Sequence[Waiting]:
        """What no turn has taken up yet, in order."""
        records = await self._database.fetch(SQL.pending, session, MOST_OVERFLOWED)
        return [
            Waiting(
                message_id=record["message_id"],
                text=record["text"],
                at=record["accepted_at"],
                dedupe_key=record["dedupe_key"],
                overflowed=record["overflowed"],
                files=shown(record["files"]),
            )
            for record in records
        ]

    async def session(self, session: UUID) -> Session | None:
        """One conversation, or None when nobody spoke in it yet."""
        records = await self._database.fetch(SQL.session, session)
        return _session(records[0]) if records else None

    async def newest(self, limit: int) -> Sequence[Record]:
        """The conversations that were active last, newest first."""
        return await self._database.fetch(SQL.sessions, limit)

    async def direct_talks(
        self, channels: Sequence[str], limit: int = 50
    ) -> Sequence[tuple[Address, str]]:
        """Direct chats, the newest first, each with the sender who began it."""
        records = await self._database.fetch(
            SQL.direct_talks, DEFAULT_TENANT, list(channels), limit
        )
        return [(Address(*record[:4]), record["opened_by"]) for record in records]

    async def open(
        self, here: Conversation, *, opened_by: str, chat_type: ChatType | None = None
    ) -> None:
        """Make the session unless it is there. Where nobody knows who listens, None, the first
        message will tell."""
        row = (here.id, here.key, here.tenant, AGENT, *astuple(here.address), opened_by,
               chat_type)  # fmt: skip
        await self._database.commit(SQL.open_session, row)

    async def answer_command(
        self,
        session: UUID,
        envelope: Envelope,
        message_id: UUID,
        change: Change | None,
        reply: str,
    ) -> tuple[Line, UUID]:
        """Take a command in, change what it changes and answer it, as one effect.

        Returns the answer, and the id under which the command was first accepted: another one than
        `message_id` means that it had been answered before and nothing happened now.
        """
        delivery_id = reply_id(message_id)
        record = await self._database.commit(
            SQL.answer_command,
            (
                message_id,
                session,
                envelope.address.channel,
                envelope.address.account,
                envelope.address.chat,
                envelope.address.thread,
                envelope.sender.id,
                storable(envelope.sender.name),
                envelope.sender.rights.value,
                storable(envelope.text),
                envelope.correlation_id,
                envelope.origin.value,
                envelope.dedupe_key,
                envelope.chat_type.value,
                *columns(change),
                reply,
                delivery_id,
                storable(envelope.platform_id),
                storable(envelope.reply_context),
                claims(envelope.attachments) if isinstance(change, Reset) and change.asks else None,
            ),
        )
        if record is None or record["message_id"] is None:
            raise Unavailable("the same command is being accepted elsewhere; offer it again")
        if isinstance(change, Stop | Reset):
            await self._database.commit(SQL.stop_what_began, (session, record["message_id"]))
        return _notice(record, delivery_id, reply), record["message_id"]

    def forget(self, session: UUID) -> None:
        """Remember no more of what was read of a conversation: it was removed."""
        self._read.take(session)

    async def choose_model(self, session: UUID, label: str | None, pinning: str) -> None:
        """Have this model answer from the next turn on; None is the default one."""
        await self._database.commit(SQL.choose_model, (session, label, pinning))

    async def post(
        self,
        here: Conversation,
        text: str,
        *,
        reply_context: str = "",
        choice: UUID | None = None,
        delivery_id: UUID | None = None,
        patience: float,
    ) -> Line:
        """Add a notice and its delivery, which may ask for a `choice`. The session must be there;
        the same delivery id is the same word."""
        delivery_id = delivery_id or uuid4()
        row = (
            delivery_id, here.id, text, *astuple(here.address), storable(reply_context), choice
        )  # fmt: skip
        try:
            record = await self._database.commit(SQL.post, row, patience=patience)
        except Unavailable as error:
            raise Unavailable(
                "The database did not answer in time. The message may be stored all the same: look "
                "before you send it again."
            ) from error
        if record is None:
            raise Unavailable("the message could not be stored; try again")
        return _notice(record, delivery_id, text)


def _notice(record: Record, delivery_id: UUID, text: str) -> Line:
    return Line(record["seq"], "notice", text, record["created_at"], delivery_id)


def _view(record: Record) -> View:
    return View(**{field.name: record[field.name] for field in fields(View)})


def _in_view(entries: Sequence[Entry], view: View, limit: int) -> list[Entry]:
    """The newest `limit` entries in view, and what sums up the beginning if that lies before it."""
    earlier = [each for each in entries if each.seq == view.checkpoint_seq <= view.begin_seq]
    return [*earlier, *[each for each in entries if each.seq > view.begin_seq][-limit:]]


def _session(record: Record) -> Session:
    own = {field.name: record[field.name] for field in fields(Session) if field.name != "choice"}
    return Session(**own, choice=QueueChoice.of(record))


def entry_of(record: Record) -> Entry:
    """A line as `transcript` and its like return it."""
    calls, thinking = record["tool_calls"], record["thinking"]
    return Entry(
        seq=record["seq"],
        kind=record["kind"],
        text=record["text"],
        turn_id=record["turn_id"],
        tail=record["tail"],
        size=record["size"],
        disposition=record["disposition"],
        tool_calls=_tool_calls.decode(calls) if calls else (),
        thinking=_thinking.decode(thinking) if thinking else (),
        call_id=record["call_id"] or "",
        tool_name=record["tool_name"] or "",
        failed=record["failed"],
        interrupted=record["interrupted"],
        covers=record["covers"],
        items=tuple(record["items"] or ()),
        speaker=record["speaker"],
        rights=record["rights"],
        at=record["at"],
        files=files_of(record.get("files")),
    )
