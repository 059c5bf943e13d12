"""The data directory: ours alone, and only once."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from opencraw.errors import CannotStart
from opencraw.store.placement import data_dir_mode


@contextmanager
def held(data_dir: Path) -> Iterator[None]:
    """Hold the data directory while the block runs; the kernel lets go of it when we die.

    Raises `CannotStart` when another daemon holds it, or when it cannot be made or written.
    """
    try:
        if not data_dir.is_dir():
            data_dir.mkdir(parents=True)
            data_dir.chmod(data_dir_mode())  # whatever the umask is
        lock = os.open(data_dir / "daemon.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CannotStart(
            f"The data directory {data_dir} cannot be used: {error.strerror}. Everything OpenCraw "
            "knows is kept there. Make it writable, or name another in runtime.data_dir."
        ) from error
    try:
        try:
            _lock(lock)
        except BlockingIOError:
            holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
            raise CannotStart(
                f"Another OpenCraw (process {holder}) runs on the data directory {data_dir}. Two "
                "would answer everything twice, so this one does not start. Stop the other one, or "
                "name another directory in runtime.data_dir."
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(lock)


def _lock(lock: int) -> None:
    """Take the lock, or raise `BlockingIOError`. A command that asks whether anybody holds it does
    so for a moment; a daemon holds it for good."""
    for _ in range(20):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.01)
        else:
            return
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
