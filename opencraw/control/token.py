"""The access token: made at the first start, kept in a file that only the daemon's user reads."""

from __future__ import annotations

import os
import secrets
import stat
import tempfile
from pathlib import Path

from opencraw.errors import CannotStart

FILE_NAME = "access-token"
_RANDOM_BYTES = 32
_SHORTEST = 32


def access_token(data_dir: Path) -> str:
    """Return the token of this data folder, making it when there is none.

    Two daemons that start at once agree on one token. Raises `CannotStart` when the file is there
    but cannot be trusted.
    """
    path = data_dir / FILE_NAME
    try:
        return _read(path)
    except FileNotFoundError:
        _create(path)
        return _read(path)


def link(base_url: str, token: str) -> str:
    """Return the address that lets a browser in. What follows `#` never leaves the browser."""
    return f"{base_url.rstrip('/')}/#token={token}"


def _create(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Written whole beside it, then given its name: nobody ever reads half a token. A link,
        # unlike a rename, fails when somebody else was faster.
        handle, written = tempfile.mkstemp(prefix=f".{FILE_NAME}-", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(secrets.token_urlsafe(_RANDOM_BYTES) + "\n")
                file.flush()
                os.fsync(handle)
            Path(path).hardlink_to(written)
        finally:
            Path(written).unlink()
    except FileExistsError:
        return
    except OSError as error:
        raise CannotStart(
            f"The access token cannot be written to {path}: {error.strerror}. Without it nobody "
            "could sign in. Fix: let the daemon's user write to that folder, or set "
            "runtime.data_dir."
        ) from error


def _read(path: Path) -> str:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise CannotStart(
            f"The access token {path} cannot be read: {error.strerror}. Fix: make it a plain file "
            "of the daemon's user, or delete it to get a new one; or correct runtime.data_dir."
        ) from error
    with os.fdopen(handle, "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        content = file.read(1024)
    if stat.S_IMODE(mode) & 0o077:
        raise CannotStart(
            f"Other users can read the access token {path} (mode {stat.S_IMODE(mode):04o}), and "
            f"who reads it controls the assistant. Fix: delete it to get a new one, or, if nobody "
            f"has seen it, chmod 600 {path}"
        )
    token = content.decode("ascii", "replace").strip()
    if len(token) < _SHORTEST or not token.isprintable() or " " in token or "\ufffd" in token:
        raise CannotStart(
            f"The access token {path} is blank or too weak to trust. Fix: delete it; the next "
            "start writes a new one."
        )
    return token
