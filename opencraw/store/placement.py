"""Where our own database lives on this machine, and as which user it runs.

As an ordinary user everything is in one private folder below the data directory. Postgres refuses
to run as root, so a daemon that is root runs it as `nobody`; a cluster below a data directory that
`nobody` cannot reach goes to a system folder instead. Permissions of folders that are not ours are
never changed.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from opencraw.errors import CannotStart

SYSTEM_DIR = Path("/var/lib/opencraw")

SOCKET_NAME = ".s.PGSQL.5432"

#: Linux ends a socket's path at 107 bytes, macOS at 103.
_LONGEST_SOCKET_PATH = 103

#: What initdb writes, and what Postgres then needs to begin its work.
_BYTES_FOR_A_CLUSTER = 200 * 1024 * 1024

_SYNCED_FOLDERS = frozenset(
    {"Dropbox", "OneDrive", "Google Drive", "GoogleDrive", "Nextcloud", "iCloudDrive"}
)

#: File systems of other machines, and those without owners and permissions.
_UNFIT_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "davfs", "vfat", "exfat", "fuseblk"}
)


def data_dir_mode() -> int:
    """The permissions of a data directory: nobody else can enter it.

    A daemon that is root lets others pass, but not look: its database runs as another user, and has
    its files inside. All that lies beside them is for its owner alone.
    """
    return 0o711 if os.geteuid() == 0 else 0o700


class Account(NamedTuple):
    """The user that Postgres runs as when that is not the user of the daemon."""

    uid: int
    gid: int


class Place(NamedTuple):
    """A folder of ours that exists, and the user that Postgres runs as (None: our own)."""

    base: Path
    account: Account | None

    @property
    def uid(self) -> int | None:
        return None if self.account is None else self.account.uid

    @property
    def gid(self) -> int | None:
        return None if self.account is None else self.account.gid

    @property
    def groups(self) -> list[int] | None:
        """Beside its own; root's would come along otherwise."""
        return None if self.account is None else []

    def make_private(self, folder: Path) -> None:
        """Create a folder that only the user of Postgres can enter."""
        folder.mkdir(mode=0o700, exist_ok=True)
        if self.account is not None:
            os.chown(folder, self.account.uid, self.account.gid)


def choose_place(data_dir: Path, *, system_dir: Path = SYSTEM_DIR) -> Place:
    """Find and create the folder for the database of `data_dir`. Refuses what cannot hold one."""
    data_dir = data_dir.resolve()
    account = _account()
    base = data_dir / "postgres"
    try:
        if not data_dir.is_dir():
            raise NotADirectoryError(f"{data_dir} is not a folder")
        if account is not None and not reachable(data_dir, account):
            base = system_dir / hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
            if not system_dir.exists():
                system_dir.mkdir(parents=True, exist_ok=True)
                system_dir.chmod(0o755)  # which the process's mask may have narrowed
            if not reachable(system_dir, account):
                raise CannotStart(
                    f"OpenCraw runs as root and its database as nobody, who can enter neither"
                    f" {data_dir} nor {system_dir}. Start OpenCraw as an ordinary user, or let"
                    f" others pass through one of them (chmod o+x)."
                )
        refuse_unfit_file_system(base)
        # With root above and nobody below, the folder between is root's: whoever else runs as
        # nobody cannot put a link where root writes the log.
        base.mkdir(mode=0o700, exist_ok=True)
        if account is not None:
            base.chmod(0o711)
        if not os.access(base, os.W_OK | os.X_OK):
            raise PermissionError(f"{base} belongs to uid {base.stat().st_uid}")
    except OSError as error:
        raise CannotStart(
            f"The database cannot write to {base}: {error.strerror or error}. Without it no message"
            " can be kept. Give the folder to the user that OpenCraw runs as, or choose another"
            " data directory."
        ) from error
    return Place(base, account)


def _account() -> Account | None:
    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
        if uid != 0:
            return None
        name = "nobody"
        nobody = pwd.getpwnam(name)
    except KeyError as error:
        raise CannotStart(
            f"This system knows no user for {'nobody' if uid == 0 else f'uid {uid}'}, and Postgres"
            " does not run without one. Add the user to /etc/passwd (in a container: use the"
            " image's own user), or set database.url to use a server elsewhere."
        ) from error
    return Account(nobody.pw_uid, nobody.pw_gid)


def reachable(path: Path, account: Account) -> bool:
    """True if that user may enter `path` and everything above it."""
    return all(_may_enter(folder.stat(), account) for folder in [path, *path.parents])


def _may_enter(state: os.stat_result, account: Account) -> bool:
    if state.st_uid == account.uid:
        return bool(state.st_mode & stat.S_IXUSR)
    if state.st_gid == account.gid:
        return bool(state.st_mode & stat.S_IXGRP)
    return bool(state.st_mode & stat.S_IXOTH)


def refuse_full_disk(base: Path) -> None:
    """Better here than in the middle of initdb."""
    state = os.statvfs(base)
    free = state.f_bavail * state.f_frsize
    if free < _BYTES_FOR_A_CLUSTER:
        raise CannotStart(
            f"Only {free // 2**20} MB are free at {base}; a new database needs"
            f" {_BYTES_FOR_A_CLUSTER // 2**20} MB. Free some space, or choose another data"
            " directory."
        )


def refuse_unfit_file_system(base: Path) -> None:
    """Refuse a folder whose contents other machines may change or lose."""
    mounts = Path("/proc/self/mountinfo")
    kind = file_system(base, mounts.read_text()) if mounts.exists() else "unknown"
    problem = unfit(kind, base)
    if problem is not None:
        raise CannotStart(
            f"The database would be at {base}, which is {problem}: what it believes to be written"
            " could be lost, or be damaged by another machine. Choose a data directory on a local"
            " disk, or set database.url to use a server elsewhere."
        )


def file_system(path: Path, mountinfo: str) -> str:
    """The kind of the file system that holds `path`, from the text of /proc/self/mountinfo."""
    best, kind = "", "unknown"
    for line in mountinfo.splitlines():
        fields, _, rest = line.partition(" - ")
        mount_point = fields.split(" ")[4].encode().decode("unicode_escape")
        # Of two mounts on one point the later one hides the earlier one.
        if path.is_relative_to(mount_point) and len(mount_point) >= len(best):
            best, kind = mount_point, rest.split(" ")[0]
    return kind


def unfit(kind: str, path: Path) -> str | None:
    """Why a database must not live on this kind of file system or at this path; None if it may."""
    if kind in _UNFIT_FILE_SYSTEMS:
        return f"on a file system of the kind {kind}"
    # What a container engine mounts for its own files is local, unlike every other one of these.
    if kind.startswith("fuse.") and kind != "fuse.fuse-overlayfs":
        return f"on a file system of the kind {kind}"
    if synced := _SYNCED_FOLDERS.intersection(path.parts):
        return f"in a folder that is kept in step with other machines ({min(synced)})"
    return None


def choose_socket_dir(place: Place) -> Path:
    """A private folder with a path short enough for a socket in it; created if need be."""
    digest = hashlib.sha256(os.fsencode(place.base)).hexdigest()[:12]
    for folder in [place.base / "run", *(parent / f"opencraw-{digest}" for parent in _short())]:
        if len(os.fsencode(folder / SOCKET_NAME)) <= _LONGEST_SOCKET_PATH:
            place.make_private(folder)
            _refuse_foreign(folder, place)
            return folder
    raise CannotStart(
        f"{place.base} is too long for the path of a socket, which ends after"
        f" {_LONGEST_SOCKET_PATH} bytes, and there is no shorter place. Choose a data directory"
        " with a shorter path, or set XDG_RUNTIME_DIR to a private folder."
    )


def _short() -> Iterator[Path]:
    if os.geteuid() == 0:
        yield Path("/run")
    elif runtime_dir := os.environ.get("XDG_RUNTIME_DIR"):
        yield Path(runtime_dir)
    yield Path(tempfile.gettempdir())


def _refuse_foreign(folder: Path, place: Place) -> None:
    """In a place that everybody can write to, somebody may have been there before us."""
    state = folder.lstat()
    owner = os.geteuid() if place.account is None else place.account.uid
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != owner or state.st_mode & 0o077:
        raise CannotStart(
            f"{folder} is not a private folder of the database's user, so somebody else could"
            " listen there. Look at what it is, remove it and start again."
        )
