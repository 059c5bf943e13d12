"""Files that are either the old one or the new one, whenever the power fails."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from opencraw import crashpoints


def write_atomically(path: Path, text: str) -> None:
    """Return once the new content is durable; until then the old content stays, whole.

    The file is readable only by its owner. A reader sees the old file or the new one.
    """
    target = path.resolve()  # a link stays a link, and what it points to is replaced
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)  # mode 0600
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            _keep_owner(file.fileno(), target)
            file.flush()
            os.fsync(file.fileno())
        crashpoints.reach("config_rename")
        temporary.replace(target)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise
    _sync(target.parent)


def _keep_owner(descriptor: int, target: Path) -> None:
    """What root changes for another user must stay that user's to read."""
    if os.geteuid() == 0 and target.exists():
        owner = target.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _sync(folder: Path) -> None:
    """A rename is durable only once the folder that holds the name is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
