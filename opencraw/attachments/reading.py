"""Has documents read by a process of their own, see `extract`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from dataclasses import dataclass

from opencraw.attachments.extract import LONGEST_TEXT, End
from opencraw.attachments.kinds import Kind
from opencraw.errors import Refused

#: A document that takes longer is known by what was read until then.
SECONDS = 30.0
#: Each may fill a core.
AT_ONCE = 2
_PROBLEMS = {
    End.ENCRYPTED: "It is encrypted, so it cannot be read. Send it without a password.",
    End.BOMB: "It unpacks to far more than a document has, so it is not opened.",
}
_BROKEN = "It cannot be read: it is broken, or not what its name says."
_ENDLESS = "It takes too long to read, and nothing was read of it."


@dataclass(frozen=True, slots=True)
class Reading:
    """What a document says, and whether it says more."""

    text: str
    cut: bool = False


class Reader:
    """Reads documents, a few at once."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._free = asyncio.Semaphore(AT_ONCE)

    async def read(self, kind: Kind, data: bytes) -> Reading:
        """What a document says, at most its first 100,000 characters. Raises `Refused` for one of
        which nothing can be read; the text is for people."""
        async with self._free:
            text, code = await self._read(kind, data)
        if code in (End.WHOLE, End.CUT):
            return Reading(text, cut=code == End.CUT)
        problem = _PROBLEMS.get(End(code)) if code in set(End) else None
        if text.strip() and problem is None:
            return Reading(text, cut=True)
        raise Refused(problem or (_BROKEN if code == End.BROKEN else _ENDLESS))

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
