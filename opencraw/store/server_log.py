"""What our Postgres says, in a file of bounded size."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from opencraw.store.placement import Place

#: A start with a longer log begins a new one and keeps this one as `postgres.log.1`.
LONGEST_LOG = 4 * 1024 * 1024


class ServerLog:
    """The log of the server at one place. Remembers where the words of this start begin."""

    def __init__(self, place: Place) -> None:
        self.path: Path = place.base / "postgres.log"
        self._start = 0

    def open(self) -> BinaryIO:
        """Open it for the next start of the server."""
        if self.path.exists() and self.path.stat().st_size > LONGEST_LOG:
            self.path.rename(self.path.with_name("postgres.log.1"))
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        log = os.fdopen(os.open(self.path, flags, 0o600), "ab", buffering=0)
        self._start = log.tell()
        return log

    def last_words(self) -> str:
        """What the server has said since it was started."""
        if not self.path.exists():
            return ""
        with self.path.open("rb") as log:
            log.seek(max(self._start, self.path.stat().st_size - 2_000))
            return log.read().decode(errors="replace").strip()
