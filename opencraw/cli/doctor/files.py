"""The interpreter, the configuration file and the data folder."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import sys
from pathlib import Path
from typing import Any

import tomli

from opencraw.cli.client import ACCESS_FILE
from opencraw.cli.doctor.finding import Finding, State
from opencraw.config.channels import installed
from opencraw.config.schema import ANY, sections, settings
from opencraw.errors import CannotStart
from opencraw.store.placement import data_dir_mode, file_system, unfit

OLDEST_PYTHON = (3, 11)

#: A new database takes a fifth of the first; a log and a few days of talk fit into the second.
LEAST_FREE = 200 * 2**20
COMFORTABLY_FREE = 2**30

PRIVATE_FILE = 0o600


def python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        fix = "install Python 3.11 or newer and set OpenCraw up with it"
        return Finding("Python", State.PROBLEM, f"{version} is too old", fix)
    return Finding("Python", State.OK, version)


def config_file(path: Path, *, fix: bool) -> list[Finding]:
    """A file with secrets in it is for its owner only; one without may be read by all."""
    if not path.exists() or not _holds_secret(path):
        return []
    return [private(path, PRIVATE_FILE, "configuration file", fix=fix)]


def data_folder(folder: Path, *, fix: bool) -> list[Finding]:
    name = "data folder"
    if not folder.exists():
        return [Finding(name, State.OK, f"{folder} is made at the first start"), *_disk(folder)]
    if not folder.is_dir():
        return [Finding(name, State.PROBLEM, f"{folder} is not a folder", "remove or rename it")]
    owner = folder.stat().st_uid
    if owner != os.geteuid() and os.geteuid() != 0:
        fix_words = "run OpenCraw as that user, or give the folder to this one with chown -R"
        detail = f"{folder} belongs to {_user(owner)}"
        return [Finding(name, State.PROBLEM, detail, fix_words)]
    findings = [private(folder, data_dir_mode(), name, fix=fix)]
    token = folder / ACCESS_FILE
    if token.exists():
        findings.append(private(token, PRIVATE_FILE, "access token", fix=fix))
    if not os.access(folder, os.W_OK | os.X_OK):
        mend = f"chmod u+rwx {folder}, or mount it writable"
        findings.append(Finding(name, State.PROBLEM, f"{folder} cannot be written to", mend))
    return findings + _disk(folder)


def private(path: Path, mode: int, name: str, *, fix: bool) -> Finding:
    """That nobody but the owner can open it; with `fix` this is made so."""
    found = stat.S_IMODE(path.stat().st_mode)
    if not found & ~mode & 0o077:
        return Finding(name, State.OK, f"others cannot look into {path} ({found:04o})")
    command = f"chmod {mode:o} {path}"
    if not fix:
        detail = f"other users of this machine can open {path} ({found:04o})"
        return Finding(name, State.PROBLEM, detail, f"{command}, or opencraw doctor --fix")
    try:
        path.chmod(mode)
    except OSError as error:
        detail = f"{path} could not be closed to others: {error.strerror}"
        return Finding(name, State.PROBLEM, detail, f"as its owner: {command}")
    return Finding(name, State.OK, f"{path} was open to others ({found:04o}); it is private now")


def _disk(folder: Path) -> list[Finding]:
    """Room and kind of the disk; of a folder that is not there yet, those of its parent."""
    there = next(each for each in [folder, *folder.parents] if each.exists())
    free = shutil.disk_usage(there).free
    room = f"{free / 2**30:.1f} GB free at {there}"
    if free < LEAST_FREE:
        found = Finding("disk", State.PROBLEM, room, "free some space, or move runtime.data_dir")
    elif free < COMFORTABLY_FREE:
        found = Finding("disk", State.WARNING, room, "free some space soon")
    else:
        found = Finding("disk", State.OK, room)
    return [found, *_kind_of_disk(there.resolve())]


def _kind_of_disk(folder: Path) -> list[Finding]:
    mounts = Path("/proc/self/mountinfo")
    if not mounts.exists():
        return []
    kind = file_system(folder, mounts.read_text(encoding="utf-8"))
    name = "file system"
    if trouble := unfit(kind, folder):
        detail = f"{folder} is {trouble}, where a database can be damaged"
        mend = "set runtime.data_dir to a local disk, or database.url to a server elsewhere"
        return [Finding(name, State.PROBLEM, detail, mend)]
    if kind in {"tmpfs", "ramfs"}:
        detail = f"{folder} is kept in memory: everything is lost when the machine restarts"
        return [Finding(name, State.WARNING, detail, "set runtime.data_dir to a disk")]
    return [Finding(name, State.OK, kind)]


def _holds_secret(path: Path) -> bool:
    try:
        document = tomli.loads(path.read_text(encoding="utf-8"))
        known = settings(sections(installed()))
    except (OSError, UnicodeDecodeError, tomli.TOMLDecodeError, CannotStart):
        return True  # nobody can tell, so it had better be private
    return any(_given(document, setting.key) for setting in known if setting.secret)


def _given(value: Any, key: tuple[str, ...]) -> bool:
    if not key:
        return bool(value)
    if not isinstance(value, dict):
        return False
    inner = list(value.values()) if key[0] == ANY else [value.get(key[0])]
    return any(_given(each, key[1:]) for each in inner)


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
