"""One chat as all its sockets see it: every line once to each socket, and in order.

Lines reach us by two roads. The outbox hands over replies and notices; what people said is only
announced (`QueueChanged`, `TurnStarted`) and has to be read. Either road may be ahead of the other,
yet a client that comes back says just "I have everything up to 41". So lines are announced strictly
by `seq`, under a lock: whoever wants to announce a later line reads the earlier ones first.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from hashlib import blake2b
from uuid import UUID

import msgspec

from channels.webchat import frames
from channels.webchat.outgoing import Outgoing
from channels.webchat.patience import HTML_SECONDS, in_time
from opencraw.contract import Address, Draft, Line, Reader, Waiting
from opencraw.errors import Unavailable
from opencraw.events import (
    DraftGrew,
    Event,
    LinesAdded,
    QueueChanged,
    ToolShown,
    TurnEnded,
    TurnStarted,
)

#: Tells a line's text as HTML, by a time on the loop's clock.
Html = Callable[[UUID, str, float], Awaitable[str]]

PAGE = 100
#: One `history` frame; what does not fit is asked for with the next.
HISTORY_LIMIT = 2_000_000
#: Events may be lost on their way, and without Redis those of a turn that runs in another daemon
#: never reach us. This often the transcript is asked whether there was one.
SLOW_POLL_SECONDS = 2.0
#: A reply should follow the end of its turn; if the outbox of another daemon has it, we look.
REPLY_PATIENCE_SECONDS = 0.25


class Listener:
    """What one socket has been given of the conversation: the lines in `(oldest, newest]`."""

    def __init__(self, outgoing: Outgoing) -> None:
        self.outgoing = outgoing
        self.oldest = 0
        self.newest = 0
        #: While older lines are replayed, newer ones wait in the transcript.
        self.replaying = False
        self.one_replay = asyncio.Lock()

    def give(self, seq: int, frame: bytes) -> None:
        """Pass one line on unless this socket has it or is not ready for it."""
        if seq > self.newest and not self.replaying:
            self.newest = seq
            self.outgoing.put(frame)


class Conversation:
    """One chat while at least one socket is open."""

    def __init__(
        self,
        address: Address,
        reader: Reader,
        html: Html,
        *,
        files: frames.FileLimits | msgspec.UnsetType = msgspec.UNSET,
    ) -> None:
        self.address = address
        self._files = files
        self.resume_token = resume_token(address.chat, reader.conversation(address))
        #: Sockets that are open or opening; the last one to leave turns off the light.
        self.users = 0
        self.following: asyncio.Task[None]
        self._reader = reader
        self._html = html
        self._listeners: set[Listener] = set()
        self._order = asyncio.Lock()
        #: The newest line that has been announced; None before anybody listens.
        self._announced: int | None = None
        self._waiting: tuple[frames.Waits, ...] = ()
        self._changed = asyncio.Event()
        self._unanswered: set[UUID] = set()
        self._last_answered: UUID | None = None

    async def follow(self) -> None:
        """Announce what the transcript gains, until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SLOW_POLL_SECONDS):
                    await self._changed.wait()
            self._changed.clear()
            try:
                await self._refresh()
            except Unavailable as unavailable:
                await asyncio.sleep(unavailable.retry_after)
                self._changed.set()

    async def join(self, listener: Listener) -> None:
        """Greet a socket and announce to it whatever comes after the greeting."""
        # Whoever is in the way may itself be waiting for a silent database.
        async with in_time(), self._order:
            newest = await self._reader.history(self.address, limit=1)
            await self._tell_queue()
            seq = newest[-1].seq if newest else 0
            if self._announced is None:
                self._announced = seq
            listener.oldest = listener.newest = seq
            self._listeners.add(listener)
            listener.outgoing.put(frames.encode(self._hello(seq)))

    def leave(self, listener: Listener) -> None:
        """Forget a socket."""
        self._listeners.discard(listener)

    def close(self, code: int) -> None:
        """Have all sockets closed."""
        for listener in self._listeners:
            listener.outgoing.end(code)

    async def deliver(self, line: Line) -> None:
        """Return when `line`, and every line before it, has been passed to all sockets."""
        async with self._order:
            if self._announced is None:
                return
            if line.seq > self._announced + 1:
                # It is among them, or a line before it is still with a hook: then it comes after
                # that one, by the other road.
                await self._announce_new()
            elif line.seq > self._announced:
                await self._announce(line, _html_time())

    async def change(self, message_id: UUID, text: str) -> None:
        """Tell all sockets that a line says something else."""
        html = await self._html(message_id, text, _html_time())
        self._tell(frames.Changed(message_id, text, html))

    async def resume(self, listener: Listener, last_seq: int) -> None:
        """Replay what came after `last_seq` and before this socket opened, then the draft."""
        async with listener.one_replay:
            if last_seq < listener.oldest:
                await self._replay(listener, last_seq)
            draft = self._reader.draft(self.address)
            if draft is not None:
                typing = frames.Typing(active=True, run_id=draft.turn_id)
                listener.outgoing.put(frames.encode(typing))
                listener.outgoing.put(frames.encode(_whole(draft)))
            listener.outgoing.put(frames.encode(frames.Resumed(listener.newest)))

    async def history(self, listener: Listener, before: int | None, limit: int) -> bytes:
        """Return the `history` frame for lines before `before`."""
        # What this socket has not been given yet will come to it live.
        bound = listener.newest + 1 if before is None else min(before, listener.newest + 1)
        async with in_time():
            lines = await self._reader.history(self.address, before=bound, limit=limit + 1)
        by = _html_time()
        chosen: list[bytes] = []
        size = 0
        for line in reversed(lines[-limit:]):
            frame = await self._frame(line, by)
            size += len(frame)
            if chosen and (size > HISTORY_LIMIT or listener.outgoing.ended.done()):
                break
            chosen.append(frame)
            # Rendering takes about a millisecond each: others may come in between.
            await asyncio.sleep(0)
        messages = [msgspec.Raw(frame) for frame in reversed(chosen)]
        return frames.encode(frames.Lines(messages, more=len(chosen) < len(lines)))

    def snapshot(self) -> bytes | None:
        """The draft of the running turn as one delta, if a turn runs."""
        draft = self._reader.draft(self.address)
        return None if draft is None else frames.encode(_whole(draft))

    def show(self, event: Event) -> None:
        """Tell all sockets about an event of a running turn."""
        match event:
            case DraftGrew():
                delta = frames.Delta(event.text, event.offset, event.turn_id, event.attempt)
                frame = frames.encode(delta)
                for listener in self._listeners:
                    listener.outgoing.put_delta(event, frame)
            case TurnStarted():
                self._tell(frames.Typing(active=True, run_id=event.turn_id))
                self._changed.set()
            case TurnEnded():
                self._tell(frames.Typing(active=False, run_id=event.turn_id))
                self._expect_reply(event.turn_id)
            case ToolShown():
                self._tell(
                    frames.Tool(
                        event.turn_id, event.call_id, event.name, event.state, event.summary
                    )
                )
            case QueueChanged() | LinesAdded():
                self._changed.set()

    def _tell(self, frame: frames.ServerFrame) -> None:
        encoded = frames.encode(frame)
        for listener in self._listeners:
            listener.outgoing.put(encoded)

    def _expect_reply(self, turn_id: UUID) -> None:
        if turn_id == self._last_answered:
            return
        self._unanswered.add(turn_id)
        asyncio.get_running_loop().call_later(REPLY_PATIENCE_SECONDS, self._look, turn_id)

    def _look(self, turn_id: UUID) -> None:
        if turn_id in self._unanswered:
            self._unanswered.discard(turn_id)
            self._changed.set()

    async def _refresh(self) -> None:
        async with self._order:
            if self._announced is None:
                return
            # The queue is read first: a message taken up in between is then seen twice, which
            # the filter mends, and never not at all.
            waiting = frames.waits(self.address.chat, await self._queue())
            taken = await self._announce_new()
            self._tell_waiting(tuple(w for w in waiting if w.message_id not in taken))

    async def _tell_queue(self) -> None:
        self._tell_waiting(frames.waits(self.address.chat, await self._queue()))

    async def _queue(self) -> Sequence[Waiting]:
        async with in_time():
            return await self._reader.waiting(self.address)

    def _tell_waiting(self, waiting: tuple[frames.Waits, ...]) -> None:
        if waiting != self._waiting:
            self._waiting = waiting
            frame = frames.encode(frames.Queue(waiting))
            for listener in self._listeners:
                listener.outgoing.put_queue(frame)

    async def _announce_new(self) -> set[UUID]:
        """Announce all lines since the last; return the messages that were taken up."""
        taken = set()
        by = _html_time()
        async for line in self._lines(self._announced or 0):
            await self._announce(line, by)
            if line.kind == "said":
                taken.add(line.message_id)
        return taken

    async def _announce(self, line: Line, by: float) -> None:
        frame = await self._frame(line, by)
        for listener in self._listeners:
            listener.give(line.seq, frame)
        self._announced = line.seq
        if line.turn_id is not None and line.kind != "said":
            self._unanswered.discard(line.turn_id)
            self._last_answered = line.turn_id

    async def _replay(self, listener: Listener, last_seq: int) -> None:
        listener.replaying = True
        async for line in self._lines(last_seq, before=listener.oldest + 1):
            if not await listener.outgoing.room():
                return
            listener.outgoing.put(await self._frame(line, _html_time()))
        listener.oldest = last_seq
        async with self._order:
            by = _html_time()
            async for line in self._lines(listener.newest, before=(self._announced or 0) + 1):
                listener.outgoing.put(await self._frame(line, by))
                listener.newest = line.seq
            listener.replaying = False

    async def _lines(self, after: int, before: int | None = None) -> AsyncIterator[Line]:
        """All lines in between, oldest first, no more than a page in memory.

        The reader gives the newest page first, so we walk back to note where pages begin and
        read them again on the way forward. Nearly always there is one.
        """
        page = await self._history(after, before)
        ends: list[int | None] = []
        while len(page) == PAGE:
            ends.append(before)
            before = page[0].seq
            page = await self._history(after, before)
        for line in page:
            yield line
        for end in reversed(ends):
            assert before is not None
            for line in await self._history(before - 1, end):
                yield line
            before = end

    async def _history(self, after: int, before: int | None) -> Sequence[Line]:
        async with in_time():
            return await self._reader.history(self.address, after=after, before=before, limit=PAGE)

    async def _frame(self, line: Line, by: float) -> bytes:
        if line.kind == "said":
            return frames.encode(frames.said(self.address.chat, line))
        html = await self._html(line.message_id, line.text, by)
        return frames.encode(frames.spoken(line, html))

    def _hello(self, seq: int) -> frames.Hello:
        model = self._reader.model
        return frames.Hello(
            sender_id="owner",
            chat=self.address.chat,
            resume_token=self.resume_token,
            seq=seq,
            model=model,
            demo=model.partition("/")[0] == "demo",
            waiting=self._waiting,
            files=self._files,
        )


def resume_token(chat: str, conversation: UUID) -> str:
    """Name a chat, and the conversation that goes on in it, in a form that survives restarts.

    It carries no authority, every connection has shown its credential: it only keeps a client from
    resuming one conversation with the position it had in another.
    """
    named = conversation.bytes + chat.encode()
    return blake2b(named, key=b"opencraw webchat resume", digest_size=16).hexdigest()


def _html_time() -> float:
    """When the lines of one delivery or history are shown with the HTML that is ready."""
    return asyncio.get_running_loop().time() + HTML_SECONDS


def _whole(draft: Draft) -> frames.Delta:
    return frames.Delta(draft.text, 0, draft.turn_id, draft.attempt)
