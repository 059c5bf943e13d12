"""The frames that wait for one socket, and the one task that writes them.

Three kinds wait here. Lines of the conversation are durable: they are never dropped, and a reader
who lets too many pile up is sent away to come back and resume. Deltas may be lost: neighbours are
joined while they wait, and when even that is too much they all go and one snapshot of the draft
follows once the reader has caught up. The rest is small and told in order, the queue only in its
newest state.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from aiohttp import WSMsgType

from channels.webchat.frames import Delta, encode
from opencraw.events import DraftGrew, utf16_length

#: A reader further behind than this is closed with 1013.
BACKLOG_LIMIT = 4_000_000
#: Deltas beyond this give way to a snapshot.
DELTA_LIMIT = 256_000
#: Whoever replays the past waits until less than this is waiting.
ROOM = 500_000

Send = Callable[[bytes, WSMsgType], Awaitable[None]]


class Waiting:
    """A frame that has not been written yet."""

    __slots__ = ("frame",)

    def __init__(self, frame: bytes) -> None:
        self.frame = frame

    def bytes(self) -> bytes:
        return self.frame


class WaitingDeltas(Waiting):
    """Neighbouring deltas of one draft, to be written as one."""

    __slots__ = ("end", "first", "texts")

    def __init__(self, event: DraftGrew, frame: bytes) -> None:
        super().__init__(frame)
        self.first = event
        self.texts: list[str] | None = None
        self.end = -1

    def join(self, event: DraftGrew) -> bool:
        """Take `event` in if it goes on where this ends."""
        first = self.first
        if event.turn_id != first.turn_id or event.attempt != first.attempt:
            return False
        if self.texts is None:
            self.end = first.offset + utf16_length(first.text)
        if event.offset != self.end:
            return False
        if self.texts is None:
            self.texts = [first.text]
        self.texts.append(event.text)
        self.end += utf16_length(event.text)
        return True

    def bytes(self) -> bytes:
        if self.texts is None:
            return self.frame
        first = self.first
        return encode(Delta("".join(self.texts), first.offset, first.turn_id, first.attempt))


class Outgoing:
    """A bounded buffer in front of one socket."""

    def __init__(self, snapshot: Callable[[], bytes | None]) -> None:
        #: Tells the draft as it is now, for a reader who missed part of it.
        self._snapshot = snapshot
        self._frames: deque[Waiting] = deque()
        self._size = 0
        self._delta_size = 0
        self._missed_deltas = False
        self._queue: Waiting | None = None
        self._wake: asyncio.Future[None] | None = None
        self._room = asyncio.Event()
        self._room.set()
        #: The close code that this reader has earned, as soon as it has earned one.
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def put(self, frame: bytes) -> None:
        """Send `frame` after all that waits. It is never dropped."""
        self._append(Waiting(frame), len(frame))

    def put_queue(self, frame: bytes) -> None:
        """Send the state of the queue; one that still waits is out of date and goes."""
        if self._queue is not None:
            self._size -= len(self._queue.frame)
            self._queue.frame = b""
        self._queue = Waiting(frame)
        self._append(self._queue, len(frame))

    def put_delta(self, event: DraftGrew, frame: bytes) -> None:
        """Send a delta, joined with its neighbours if it has to wait; it may be dropped."""
        if self._missed_deltas:
            return
        if self._delta_size + len(frame) > DELTA_LIMIT:
            self._forget_deltas()
            return
        self._delta_size += len(frame)
        last = self._frames[-1] if self._frames else None
        if isinstance(last, WaitingDeltas) and last.join(event):
            self._size += len(frame)
        else:
            self._append(WaitingDeltas(event, frame), len(frame))

    async def room(self) -> bool:
        """Wait until there is room for more of the past. False when there will never be."""
        await self._room.wait()
        return not self.ended.done()

    def end(self, code: int) -> None:
        """Have the socket closed with `code`; the first one counts."""
        if not self.ended.done():
            self.ended.set_result(code)
        self._frames.clear()
        self._room.set()

    async def write_to(self, send: Send) -> None:
        """Write what waits, for ever. Ends when the socket does."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                while self._frames:
                    frame = self._take()
                    if frame:
                        await send(frame, WSMsgType.TEXT)
                if self._missed_deltas:
                    self._catch_up()
                    continue
                self._wake = loop.create_future()
                await self._wake
        except ConnectionError:
            # The reader's side of the connection notices the same and says goodbye.
            return

    def _append(self, waiting: Waiting, size: int) -> None:
        if self.ended.done():
            return
        # One frame may be larger than the limit: alone it is no sign of a slow reader.
        if self._frames and self._size + size > BACKLOG_LIMIT:
            self.end(1013)
            return
        self._frames.append(waiting)
        self._size += size
        if self._size > ROOM:
            self._room.clear()
        if self._wake is not None:
            if not self._wake.done():
                self._wake.set_result(None)
            self._wake = None

    def _take(self) -> bytes:
        waiting = self._frames.popleft()
        if waiting is self._queue:
            self._queue = None
        frame = waiting.bytes()
        if not self._frames:
            self._size = self._delta_size = 0
        else:
            self._size -= len(waiting.frame)
        if self._size <= ROOM and not self._room.is_set():
            self._room.set()
        return frame

    def _forget_deltas(self) -> None:
        self._missed_deltas = True
        self._frames = deque(w for w in self._frames if not isinstance(w, WaitingDeltas))
        self._size = sum(len(waiting.frame) for waiting in self._frames)
        self._delta_size = 0

    def _catch_up(self) -> None:
        self._missed_deltas = False
        frame = self._snapshot()
        if frame is not None:
            self.put(frame)
