"""The system prompt: who the assistant is, and what its operator keeps for it in files.

It is the beginning of every prompt, and vendors charge little for a beginning that they have seen
before. So the same asker gets the same bytes as long as no file changes, on every node.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator

from opencraw.context.notes import note
from opencraw.context.settings import GeneralSettings
from opencraw.context.workspace import HEARTBEAT, USER, File, Workspace
from opencraw.contract import Origin, Rights
from opencraw.fence import fence
from opencraw.resources import prompt
from opencraw.sessions.asker import Asker

#: So many characters are shown of all files together.
LONGEST_FILES = 60_000

#: What wakes the assistant although nobody wrote.
_HEARTBEATS = frozenset({Origin.TIMER, Origin.AUTOMATION})


class SystemPrompt:
    """What every prompt begins with."""

    def __init__(
        self, general: GeneralSettings, workspace: Workspace | None = None, *, memory: bool = False
    ) -> None:
        """Without `memory` the assistant is told of none."""
        own = (general.system_prompt or prompt("system.md")).strip()
        self._own = f"{own}\n\n{prompt('memory.md').strip()}" if memory else own
        self._workspace = workspace
        #: What was made of the files as they are now, by the names that are kept back.
        self._made: dict[frozenset[str], str] = {}
        self._version = -1
        self._looking = threading.Lock()

    def text(self, asker: Asker) -> str:
        """The system prompt of a turn that works for `asker`, for threads: a disk may be slow."""
        if self._workspace is None:
            return self._own
        with self._looking:
            files = self._workspace.files()
            if self._version != self._workspace.version:
                self._version = self._workspace.version
                self._made.clear()
            kept_back = _kept_from(asker)
            if kept_back not in self._made:
                shown = [file for name, file in files.items() if name not in kept_back]
                self._made[kept_back] = "\n\n".join([self._own, *_parts(shown)])
            return self._made[kept_back]


def _kept_from(asker: Asker) -> frozenset[str]:
    """The files that are not for this asker's turn."""
    names = set()
    if not asker.alone or asker.rights != Rights.OWNER:
        names.add(USER)
    if asker.origin not in _HEARTBEATS:
        names.add(HEARTBEAT)
    return frozenset(names)


def _parts(files: Iterable[File]) -> Iterator[str]:
    """What is said about the files, and they themselves as far as there is room."""
    room = LONGEST_FILES
    for file in files:
        if room == LONGEST_FILES:
            yield prompt("files.md").strip()
        shown = file.text[:room]
        room -= len(shown)
        if not shown:
            yield note("file_left_out", name=file.name)
            continue
        # The same on every node. That it can be guessed is no harm: a fence changes its own mark
        # in what it holds.
        mark = hashlib.sha256(file.text.encode()).hexdigest()[:12]
        yield fence(shown, origin=file.name, mark=mark)
        if missing := file.cut + len(file.text) - len(shown):
            yield note("file_cut", name=file.name, characters=f"{missing:,}")
