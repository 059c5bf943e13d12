"""Has documents read: plain texts here and at once, others by a process of their own (`extract`).

Processes are few. Nobody has two places among them, so whoever sends many documents, in however
many conversations, waits behind the one document of somebody else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from weakref import WeakValueDictionary

from opencraw.attachments.extract import End
from opencraw.attachments.kinds import Kind
from opencraw.attachments.texts import LONGEST_TEXT, beginning
from opencraw.errors import Refused, SlowDown

#: A document that takes longer is known by what was read until then.
SECONDS = 30.0
#: For so long it waits until others are read.
PATIENCE_SECONDS = 90.0
#: Each may fill a core.
AT_ONCE = 2
_PROBLEMS = {
    End.ENCRYPTED: "It is encrypted, so it cannot be read. Send it without a password.",
    End.BOMB: "It unpacks to far more than a document has, so it is not opened.",
}
_BROKEN = "It cannot be read: it is broken, or not what its name says."
_ENDLESS = "It takes too long to read, and nothing was read of it."
_BUSY = "Too many documents are being read at the moment. Send it again in a minute."


@dataclass(frozen=True, slots=True)
class Reading:
    """What a document says, and whether it says more."""

    text: str
    cut: bool = False


class Reader:
    """Reads documents, a few at once."""

    def __init__(self, seconds: float = SECONDS, *, patience: float = PATIENCE_SECONDS) -> None:
        self._seconds = seconds
        self._patience = patience
        self._free = asyncio.Semaphore(AT_ONCE)
        #: The one place of everybody who has documents in line.
        self._places: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def read(self, kind: Kind, data: bytes, whose: str = "") -> Reading:
        """What a document says, at most its first 100,000 characters. Raises `Refused` for one of
        which nothing can be read, and `SlowDown` when others take too long; the text is for
        people."""
        if kind.is_plain:
            return Reading(*beginning(data, kind.charset))
        async with self.place(whose):
            text, code = await self._read(kind, data)
        if code in (End.WHOLE, End.CUT):
            return Reading(text, cut=code == End.CUT)
        problem = _PROBLEMS.get(End(code)) if code in set(End) else None
        if text.strip() and problem is None:
            return Reading(text, cut=True)
        raise Refused(problem or (_BROKEN if code == End.BROKEN else _ENDLESS))

    @contextlib.asynccontextmanager
    async def place(self, whose: str) -> AsyncIterator[None]:
        """Wait for a place among those that are read. Raises `SlowDown` when none comes free."""
        mine = self._places.setdefault(whose, asyncio.Lock())
        async with contextlib.AsyncExitStack() as held:
            try:
                async with asyncio.timeout(self._patience):
                    await held.enter_async_context(mine)
                    await held.enter_async_context(self._free)
            except TimeoutError:
                raise SlowDown(_BUSY, retry_after=self._seconds) from None
            yield

    async def _read(self, kind: Kind, data: bytes) -> tuple[str, int]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "opencraw.attachments.extract",
            kind.content_type, kind.charset,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            # Nobody's keys are for a reader of strangers' documents.
            env={name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ},
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(data)
        process.stdin.close()
        # In bytes, of which a character has at most four.
        heard = bytearray()
        code = -1
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._seconds):
                    while more := await process.stdout.read(65_536):
                        heard += more
                        if len(heard) > 4 * LONGEST_TEXT:
                            break
                    code = await process.wait()
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
            # What is still on its way would keep the pipe open.
            await process.stdout.read()
            await process.wait()
        return heard.decode("utf-8", "ignore")[:LONGEST_TEXT], code
