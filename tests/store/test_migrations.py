from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from opencraw.errors import CannotStart
from opencraw.store.migrations import migrate

Write = Callable[[str, str], None]

FIRST = "CREATE TABLE first (id int); INSERT INTO first VALUES (1);"
SECOND = "CREATE TABLE second (id int);"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "0001_first.sql").write_text(FIRST)
    (tmp_path / "0002_second.sql").write_text(SECOND)
    (tmp_path / "README").write_text("not a migration")
    return tmp_path


async def _tables(url: str) -> set[str]:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    await connection.close()
    return {row["tablename"] for row in rows}


async def _execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(sql)
    await connection.close()


async def test_an_empty_database_gets_every_file_once(
    empty_database_url: str, folder: Path
) -> None:
    assert await migrate(empty_database_url, folder) == 2
    assert await migrate(empty_database_url, folder) == 0
    assert await _tables(empty_database_url) == {"first", "second", "schema_migration"}


async def test_a_database_in_between_gets_what_is_missing(
    empty_database_url: str, folder: Path
) -> None:
    await migrate(empty_database_url, folder)
    (folder / "0003_third.sql").write_text("CREATE TABLE third (id int)")
    assert await migrate(empty_database_url, folder) == 1
    assert "third" in await _tables(empty_database_url)


async def test_the_real_migrations_run_and_run_once(empty_database_url: str) -> None:
    assert await migrate(empty_database_url) > 0
    assert await migrate(empty_database_url) == 0


async def test_daemons_that_start_together_run_each_file_once(
    empty_database_url: str, tmp_path: Path
) -> None:
    for number in range(1, 11):
        (tmp_path / f"{number:04}_table.sql").write_text(f"CREATE TABLE table_{number} (id int)")
    ran = await asyncio.gather(*(migrate(empty_database_url, tmp_path) for _ in range(4)))
    assert len(await _tables(empty_database_url)) == 11
    assert sum(ran) == 10


async def test_a_file_that_was_changed_after_it_ran_is_refused(
    empty_database_url: str, folder: Path
) -> None:
    await migrate(empty_database_url, folder)
    (folder / "0001_first.sql").write_text(FIRST + " ")
    with pytest.raises(CannotStart, match="0001_first was changed"):
        await migrate(empty_database_url, folder)


async def test_a_database_that_a_newer_version_used_is_refused(
    empty_database_url: str, folder: Path
) -> None:
    await migrate(empty_database_url, folder)
    (folder / "0002_second.sql").unlink()
    with pytest.raises(CannotStart, match="at migration 0002, this OpenCraw knows 0001"):
        await migrate(empty_database_url, folder)


async def test_a_new_file_with_an_old_number_is_refused(
    empty_database_url: str, folder: Path
) -> None:
    (folder / "0001_first.sql").rename(folder / "0000_first.sql")
    await migrate(empty_database_url, folder)
    (folder / "0001_forgotten.sql").write_text("SELECT 1")
    with pytest.raises(CannotStart, match="0001_forgotten is older than the database"):
        await migrate(empty_database_url, folder)


async def test_two_files_with_one_number_are_refused(empty_database_url: str, folder: Path) -> None:
    (folder / "0002_twin.sql").write_text("SELECT 1")
    with pytest.raises(CannotStart, match="0002: second and twin"):
        await migrate(empty_database_url, folder)


async def test_a_file_that_fails_leaves_nothing_behind_and_can_be_mended(
    empty_database_url: str, folder: Path
) -> None:
    (folder / "0002_second.sql").write_text("CREATE TABLE second (id int); SELECT 1 / 0;")
    with pytest.raises(CannotStart, match="0002_second failed: division by zero"):
        await migrate(empty_database_url, folder)
    assert await _tables(empty_database_url) == {"first", "schema_migration"}
    (folder / "0002_second.sql").write_text(SECOND)
    assert await migrate(empty_database_url, folder) == 1


async def test_a_table_that_somebody_else_holds_is_named(
    empty_database_url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opencraw.store.migrations.LOCK_TIMEOUT", "100ms")
    await migrate(empty_database_url, folder)
    (folder / "0003_third.sql").write_text("ALTER TABLE first ADD COLUMN name text")
    holder = await asyncpg.connect(empty_database_url)
    async with holder.transaction():
        await holder.execute("SELECT * FROM first")
        with pytest.raises(CannotStart, match="another program is using this database"):
            await migrate(empty_database_url, folder)
    await holder.close()
    assert await migrate(empty_database_url, folder) == 1


async def test_a_daemon_killed_between_two_files_is_continued_by_the_next(
    empty_database_url: str, folder: Path
) -> None:
    program = (
        "import asyncio, pathlib, sys\n"
        "from opencraw.store.migrations import migrate\n"
        "asyncio.run(migrate(sys.argv[1], pathlib.Path(sys.argv[2])))"
    )
    daemon = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, empty_database_url, str(folder)),
        env=os.environ | {"OPENCRAW_CRASHPOINT": "between_migrations"},
    )
    assert await daemon.wait() == -signal.SIGKILL
    assert await _tables(empty_database_url) == {"first", "schema_migration"}
    assert await migrate(empty_database_url, folder) == 1
    assert await _tables(empty_database_url) == {"first", "second", "schema_migration"}


async def test_a_database_that_is_not_there_is_refused_in_words(empty_database_url: str) -> None:
    with pytest.raises(CannotStart, match=r"cannot be used: .*does not exist.*Check database\.url"):
        await migrate(empty_database_url.replace("/empty_", "/no_such_"))
