"""The files of our own Postgres: made once, as a whole or not at all."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from opencraw.errors import CannotStart
from opencraw.store.binaries import Binaries
from opencraw.store.placement import Place, refuse_full_disk

USER = "opencraw"

#: Keeps a private instance small. Everything that makes a commit durable is stated, not assumed.
_PROFILE = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "32MB",
    "max_connections": "40",
    "max_wal_size": "256MB",
    "min_wal_size": "32MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_worker_processes": "2",
    "max_parallel_workers": "0",
    "max_logical_replication_workers": "0",
    "jit": "off",
    "huge_pages": "off",
    "wal_buffers": "4MB",
    "work_mem": "4MB",
    "maintenance_work_mem": "64MB",
    "autovacuum_max_workers": "1",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    # What people write is in the statements; it has no business in a log.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}

#: A password of 256 random bits cannot be guessed; stretching it would only slow connections down.
_SCRAM_ITERATIONS = "1"


class Cluster(NamedTuple):
    """A complete cluster: the folder that Postgres works in, and our password to it."""

    data: Path
    password: str


def profile(major: int) -> dict[str, str]:
    """The settings that Postgres of that version is started with."""
    return _PROFILE | ({"io_method": "sync"} if major >= 18 else {})


def ensure_cluster(place: Place, binaries: Binaries) -> Cluster:
    """Open the cluster of this place, or make one. Blocks; run it in a thread.

    A new cluster is made in a folder of its own that is then renamed, so that whatever happens
    meanwhile, a cluster is complete or absent.
    """
    home = place.base / "cluster"
    if not home.exists():
        with _only_one(place.base):
            for rest in place.base.glob("new-*"):
                shutil.rmtree(rest, ignore_errors=True)
            if not home.exists():
                _make(home, place, binaries)
    _refuse_other_version(home / "data", binaries)
    return Cluster(home / "data", (home / "password").read_text().strip())


@contextmanager
def _only_one(base: Path) -> Iterator[None]:
    folder = os.open(base, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _make(home: Path, place: Place, binaries: Binaries) -> None:
    refuse_full_disk(place.base)
    staging = Path(tempfile.mkdtemp(prefix="new-", dir=place.base))
    try:
        place.make_private(staging)
        _write_password(staging / "password", place)
        _initdb(staging, place, binaries)
        _sync(staging)
        staging.rename(home)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    _sync(place.base)
    _sync(place.base.parent)


def _write_password(path: Path, place: Place) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(32))
        file.flush()
        os.fsync(descriptor)
        if place.account is not None:
            os.fchown(descriptor, place.account.uid, place.account.gid)


def _initdb(staging: Path, place: Place, binaries: Binaries) -> None:
    options = [
        f"--pgdata={staging / 'data'}",
        f"--username={USER}",
        f"--pwfile={staging / 'password'}",
        "--encoding=UTF8",
        "--wal-segsize=4",
        "--auth-local=scram-sha-256",
        "--auth-host=reject",
    ]
    if binaries.major >= 17:
        # Sorts the same on every machine: no index breaks when the system's library is upgraded.
        options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    else:
        options += ["--locale=C"]
    if binaries.major >= 16:
        options += ["--set", f"scram_iterations={_SCRAM_ITERATIONS}"]
    outcome = subprocess.run(
        [binaries.initdb, *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        cwd=staging,
        umask=0o077,
        env=environment(),
        user=place.uid,
        group=place.gid,
        extra_groups=place.groups,
    )
    if outcome.returncode != 0:
        last_words = " ".join(outcome.stdout.strip().splitlines()[-4:])
        raise CannotStart(
            f"The database could not be created at {place.base}: {last_words}. Nothing was left"
            " behind. Mend what the message names, then start again."
        )


def environment() -> dict[str, str]:
    """All that Postgres gets to see: our own environment holds secrets of others."""
    return {"LC_ALL": "C", "PATH": os.defpath}


def _refuse_other_version(data: Path, binaries: Binaries) -> None:
    version = (data / "PG_VERSION").read_text().strip()
    if version != str(binaries.major):
        raise CannotStart(
            f"The database at {data} was made by Postgres {version}, the Postgres found at"
            f" {binaries.folder} is {binaries.major} and cannot open it. Nothing was changed. Set"
            f" database.bin_dir to a Postgres {version}, or make a backup with that version and"
            " restore it into a new data directory."
        )


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
