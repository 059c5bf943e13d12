"""Server-sent events, from bytes to payloads. Knows nothing of sockets or JSON.

Only the data of an event is kept: every vendor repeats the event's name inside it. An event that
the end of the stream cuts off never surfaces, as the standard demands.
"""

from __future__ import annotations

LINE_LIMIT = 1_000_000
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class LineTooLong(Exception):
    """A line, or the lines of one event together, passed the limit."""


class Decoder:
    """Takes bytes cut anywhere and gives the payload of each event that they complete."""

    def __init__(self, limit: int = LINE_LIMIT) -> None:
        self._limit = limit
        #: The beginning of a line whose end has not come.
        self._pieces: list[bytes] = []
        self._piece_bytes = 0
        #: The data lines of an event whose end has not come.
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._at_start = True
        self._after_carriage_return = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """The payloads completed by `chunk`, in order. Raises `LineTooLong`."""
        if self._after_carriage_return and chunk:
            # The two halves of one line end arrived in two chunks.
            self._after_carriage_return = False
            chunk = chunk.removeprefix(b"\n")
        if not chunk:
            return []
        if b"\n" not in chunk and b"\r" not in chunk:
            self._keep(chunk)
            return []
        if self._pieces:
            chunk = b"".join([*self._pieces, chunk])
            self._pieces.clear()
            self._piece_bytes = 0
        if self._at_start:
            chunk = chunk.removeprefix(_BYTE_ORDER_MARK)
            self._at_start = False
        lines = chunk.splitlines()
        if chunk.endswith(b"\r"):
            self._after_carriage_return = True
        elif not chunk.endswith(b"\n"):
            self._keep(lines.pop())
        return self._events(lines)

    def _keep(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._piece_bytes += len(piece)
        if self._piece_bytes > self._limit:
            raise LineTooLong

    def _events(self, lines: list[bytes]) -> list[bytes]:
        data, limit, found = self._data, self._limit, []
        for line in lines:
            if not line:
                if data:
                    payload = data[0] if len(data) == 1 else b"\n".join(data)
                    data.clear()
                    self._data_bytes = 0
                    if payload:  # some servers keep a connection warm with empty data
                        found.append(payload)
            elif line.startswith(b"data:"):
                value = line[6:] if line.startswith(b"data: ") else line[5:]
                data.append(value)
                self._data_bytes += len(value) + 1
                if self._data_bytes > limit:
                    raise LineTooLong
            elif line == b"data":
                data.append(b"")
            elif len(line) > limit:
                raise LineTooLong
        return found
