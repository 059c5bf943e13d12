"""The main process of our Postgres: finding it, starting it, noticing its end.

It outlives a daemon that is killed, and the next daemon takes it over. A file with a process id
proves nothing, because ids are used again: a process counts as ours if it is `postgres` and works
in our folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import BinaryIO, NamedTuple

from opencraw.store.binaries import Binaries
from opencraw.store.cluster import environment, profile
from opencraw.store.placement import SOCKET_NAME, Place

_PROC = Path("/proc")

#: Used where the kernel cannot tell us that a process has ended.
_POLL_SECONDS = 0.2


class Postmaster:
    """A running server. `process` is set if it is our own child, which must be waited for."""

    def __init__(self, pid: int, data: Path, process: subprocess.Popen[bytes] | None) -> None:
        self.pid = pid
        self._data = data
        self._process = process

    def alive(self) -> bool:
        if self._process is not None:
            return self._process.poll() is None
        return _is_ours(self.pid, self._data)

    async def gone(self) -> None:
        """Returns when the process has ended."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        except (OSError, AttributeError):
            while self.alive():  # noqa: ASYNC110 - nobody here could tell us
                await asyncio.sleep(_POLL_SECONDS)
            return
        try:
            # The id may have been given to another process before it was opened.
            if self.alive():
                await _readable(descriptor)
        finally:
            os.close(descriptor)
        self.alive()  # a child is laid to rest by asking

    async def stop(self) -> None:
        """End it: sessions are cut off, nothing committed is lost, the files are left clean."""
        for sign, seconds in ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0)):
            if not self.alive():
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, sign)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.gone()

    def let_go(self) -> None:
        """Leave it running when we end."""
        if self._process is not None:
            self._process.returncode = 0  # or Popen complains of a child that nobody waited for


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)


class PidFile(NamedTuple):
    """What a server wrote down about itself; it may be long dead."""

    pid: int
    socket_dir: Path | None


def read_pid_file(data: Path) -> PidFile | None:
    """None if there is none. A server that is just starting has not written every line yet."""
    return _read_lock_file(data / "postmaster.pid")


def _read_lock_file(path: Path) -> PidFile | None:
    try:
        lines = path.read_text().splitlines()
        pid = int(lines[0])
    except (FileNotFoundError, IndexError, ValueError):
        return None
    socket_dir = lines[4] if len(lines) > 4 else ""
    return PidFile(pid, Path(socket_dir) if socket_dir else None)


def find(data: Path) -> Postmaster | None:
    """The server that runs in this folder, or None."""
    noted = read_pid_file(data)
    if noted is None or not _is_ours(noted.pid, data):
        return None
    return Postmaster(noted.pid, data, None)


def remove_stale_lock_files(data: Path, socket_dir: Path) -> None:
    """Remove lock files that name somebody else's living process, at which Postgres would stop.

    If the process is dead the files stay: Postgres cleans up by itself, and uses what is written
    there to notice children of the dead server that still work on the files.
    """
    for path in (data / "postmaster.pid", socket_dir / f"{SOCKET_NAME}.lock"):
        noted = _read_lock_file(path)
        if noted is not None and _exists(noted.pid) and not _is_anybody_at_work(data):
            path.unlink(missing_ok=True)


def _is_anybody_at_work(data: Path) -> bool:
    return any(
        _is_ours(int(entry.name), data) for entry in _PROC.iterdir() if entry.name.isdecimal()
    )


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_ours(pid: int, data: Path) -> bool:
    """True unless it is certain that this process is not a Postgres working in `data`."""
    if not _PROC.is_dir():
        return _exists(pid)
    process = _PROC / str(pid)
    try:
        if (process / "comm").read_text().strip() != "postgres":
            return False
        # An upgrade may have replaced the program: the link then says " (deleted)".
        program = (process / "exe").readlink().name.removesuffix(" (deleted)")
        return program == "postgres" and (process / "cwd").samefile(data)
    except (FileNotFoundError, ProcessLookupError):
        return False
    except PermissionError:
        # A container may forbid root to look into a process of another user. It is the right
        # program; whether it is the right user is all that can be seen.
        return process.stat().st_uid == data.stat().st_uid


def spawn(
    data: Path, socket_dir: Path, place: Place, binaries: Binaries, log: BinaryIO
) -> Postmaster:
    """Start the server; it is not ready yet. It does not end with us, nor with our terminal."""
    settings = profile(binaries.major) | {"unix_socket_directories": str(socket_dir)}
    options = [option for key, value in settings.items() for option in ("-c", f"{key}={value}")]
    process = subprocess.Popen(
        [binaries.postgres, "-D", data, *options],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        cwd=data,
        umask=0o077,
        env=environment(),
        start_new_session=True,
        user=place.uid,
        group=place.gid,
        extra_groups=place.groups,
    )
    return Postmaster(process.pid, data, process)
