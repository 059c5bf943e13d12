"""The workspace: files in which the operator says who the assistant is and whom it talks to.

They are read again when they change. A file that cannot be read, or is no text, is left out with a
line in the log: it must never cost anybody an answer.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

USER = "USER.md"
HEARTBEAT = "HEARTBEAT.md"
#: In the order in which a prompt shows them.
NAMES = ("AGENTS.md", "SOUL.md", "TOOLS.md", "BOOTSTRAP.md", "IDENTITY.md", USER, HEARTBEAT)

#: So many characters are shown of one file.
LONGEST = 20_000
LONGEST_OF = {USER: 4_000}
#: A larger file is not one that somebody wrote for this. A turn waits for them, so that a change
#: counts from the next message on: all of them together must take milliseconds.
LARGEST_BYTES = 200_000
#: Whether files changed is looked at so seldom.
LOOK_SECONDS = 1.0

#: What tells one state of a file from another; None is a file that is not there.
_Stamp = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class File:
    """What a file says, without its comments."""

    name: str
    text: str
    #: So many characters of it are not in `text`.
    cut: int = 0


class _LeftOut(Exception):
    """The file cannot be shown. The text is for the log."""


class Workspace:
    """The files of one folder, which need not be there."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder = folder
        self._clock = clock
        self._looked = float("-inf")
        self._stamps: dict[str, _Stamp] = {}
        self._files: dict[str, File] = {}
        #: Grows whenever files were read again.
        self.version = 0

    def files(self) -> Mapping[str, File]:
        """The files that say something, by name, in order."""
        now = self._clock()
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            self._look()
        return self._files

    def _look(self) -> None:
        stamps = {name: self._stamp(name) for name in NAMES}
        changed = [name for name in NAMES if name not in self._stamps
                   or stamps[name] != self._stamps[name]]  # fmt: skip
        if not changed:
            return
        read = {name: self._read(name) for name in changed if stamps[name] is not None}
        known = {name: self._files.get(name) for name in NAMES if name not in changed} | read
        self._stamps = stamps
        self._files = {name: file for name in NAMES if (file := known.get(name)) is not None}
        self.version += 1

    def _stamp(self, name: str) -> _Stamp:
        try:
            found = (self.folder / name).lstat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self, name: str) -> File | None:
        try:
            text = _without_comments(_content(self.folder / name)).strip()
        except _LeftOut as reason:
            log.warning(
                "%s is left out of prompts: %s. Mend or remove it; it is looked at again when it"
                " changes",
                self.folder / name,
                reason,
            )
            return None
        if all(line.lstrip()[:1] in ("", "#") for line in text.splitlines()):
            return None
        shown = text[: LONGEST_OF.get(name, LONGEST)]
        return File(name, shown, len(text) - len(shown))


def _without_comments(text: str) -> str:
    """What is left without `<!-- … -->`. A pattern would look for each end again and again in a
    text that has none, and a large file of that would stop the daemon."""
    kept, place = [], 0
    while (begin := text.find("<!--", place)) >= 0:
        end = text.find("-->", begin + 4)
        if end < 0:
            break
        kept.append(text[place:begin])
        place = end + 3
        if text.startswith("\n", place):
            place += 1
    return "".join([*kept, text[place:]])


def _content(path: Path) -> str:
    """The text of a file. Raises `_LeftOut`."""
    try:
        # A link could lead to what nobody meant to show; a pipe would never end.
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        reason = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise _LeftOut(reason) from error
    try:
        found = os.fstat(opened)
        if not stat.S_ISREG(found.st_mode):
            raise _LeftOut("it is no ordinary file")
        if found.st_size > LARGEST_BYTES:
            raise _LeftOut(f"it has {found.st_size:,} bytes, more than {LARGEST_BYTES:,}")
        with os.fdopen(opened, "rb", closefd=False) as file:
            text = file.read(LARGEST_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise _LeftOut(error.strerror) from error
    except UnicodeDecodeError as error:
        raise _LeftOut("it is no text in UTF-8") from error
    finally:
        os.close(opened)
    if "\x00" in text:
        raise _LeftOut("it is no text in UTF-8")
    return text
