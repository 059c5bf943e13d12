"""Numbered SQL files that only ever go forward.

A file `0007_outbox.sql` runs once, in a transaction of its own, and its digest is written down in
the same transaction. So a crash leaves a database between two files, never inside one; and a file
that was changed after it ran, or a database that a newer OpenCraw has migrated, is refused.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import itertools
import logging
import re
from collections.abc import Mapping, Sequence
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import asyncpg

from opencraw import crashpoints
from opencraw.errors import CannotStart
from opencraw.store.connection import first_connection

if TYPE_CHECKING:
    from opencraw.store.connection import Connection

log = logging.getLogger(__name__)

_FILE = re.compile(r"(\d{4})_(\w+)\.sql")

_APPLIED = "SELECT number, digest FROM schema_migration"

_CREATE = """
CREATE TABLE IF NOT EXISTS schema_migration (
    number integer PRIMARY KEY,
    name text NOT NULL,
    digest text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""

_RECORD = "INSERT INTO schema_migration (number, name, digest) VALUES ($1, $2, $3)"

#: Another program that holds a table must not keep this daemon from saying why it waits.
LOCK_TIMEOUT = "10s"

#: Any number, as long as nothing else in this database locks it: the letters of "OpenCraw".
_ADVISORY_LOCK = int.from_bytes(b"OpenCraw", "big", signed=True)


class Migration(NamedTuple):
    """One numbered file."""

    number: int
    name: str
    sql: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


async def migrate(url: str, folder: Traversable | Path | None = None) -> int:
    """Bring the schema up to this version of OpenCraw; returns how many files ran.

    Any number of daemons may call it at once. Raises `CannotStart` if the database is not one that
    these files lead to; it is unchanged then.
    """
    known = read(folder or importlib.resources.files("opencraw.store").joinpath("migrations"))
    # A migration takes the time it takes; only waiting for a lock is limited, file by file.
    connection = await first_connection(url, statement_timeout="0", lock_timeout="0")
    try:
        try:
            applied = await _applied(connection)
        except asyncpg.UndefinedTableError:
            applied = {}
        count = 0
        if pending(known, applied):
            while await _run_next(connection, known):
                count += 1
        return count
    finally:
        await connection.close()


def read(folder: Traversable | Path) -> list[Migration]:
    """The migrations of a folder, by number. Two files with one number are refused."""
    migrations = sorted(
        Migration(int(match[1]), match[2], file.read_text("utf-8"))
        for file in folder.iterdir()
        if (match := _FILE.fullmatch(file.name))
    )
    for earlier, later in itertools.pairwise(migrations):
        if earlier.number == later.number:
            raise CannotStart(
                f"Two migrations have the number {later.number:04}: {earlier.name} and"
                f" {later.name}. This installation is damaged; install OpenCraw again."
            )
    return migrations


def pending(known: Sequence[Migration], applied: Mapping[int, str]) -> list[Migration]:
    """The files that have yet to run. Raises `CannotStart` if what ran are not these files."""
    newest = known[-1].number if known else 0
    if beyond := [number for number in applied if number > newest]:
        raise CannotStart(
            f"The database is at migration {max(beyond):04}, this OpenCraw knows {newest:04}: a"
            " newer version has used it, and an older one could damage what it wrote. Start the"
            " newer version, or restore the backup made before the upgrade."
        )
    for migration in known:
        if applied.get(migration.number, migration.digest) != migration.digest:
            raise CannotStart(
                f"Migration {migration.number:04}_{migration.name} was changed after it ran, so the"
                " database is not what this OpenCraw expects. Install an unmodified OpenCraw; a"
                " change of the schema belongs into a new file."
            )
    waiting = [migration for migration in known if migration.number not in applied]
    if waiting and applied and waiting[0].number < max(applied):
        raise CannotStart(
            f"Migration {waiting[0].number:04}_{waiting[0].name} is older than the database, which"
            f" is at {max(applied):04}, but never ran there. Give it a number after the last one."
        )
    return waiting


async def _run_next(connection: Connection, known: Sequence[Migration]) -> bool:
    """Run the first file that nobody has run yet; False if there is none."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _ADVISORY_LOCK, timeout=600)
        await connection.execute(_CREATE)
        waiting = pending(known, await _applied(connection))
        if not waiting:
            return False
        await _run(connection, waiting[0])
    if len(waiting) > 1:
        crashpoints.reach("between_migrations")
    return True


async def _run(connection: Connection, migration: Migration) -> None:
    label = f"{migration.number:04}_{migration.name}"
    try:
        await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        await connection.execute(migration.sql, timeout=24 * 3600)
        await connection.execute(_RECORD, migration.number, migration.name, migration.digest)
    except asyncpg.LockNotAvailableError as error:
        raise CannotStart(
            f"Migration {label} could not lock a table: another program is using this database."
            " Nothing was changed. Stop the other daemons and programs on it, then start again."
        ) from error
    except asyncpg.PostgresError as error:
        raise CannotStart(
            f"Migration {label} failed: {error}. Nothing of it was written. Restore or repair what"
            " the error names, or report it."
        ) from error
    log.info("migrated the database to %s", label)


async def _applied(connection: Connection) -> dict[int, str]:
    return {row["number"]: row["digest"] for row in await connection.fetch(_APPLIED)}
