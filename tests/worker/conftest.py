from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import pytest

from tests.faults.proxy import PostgresProxy, socket_folder


@pytest.fixture
async def line(database_url: str) -> AsyncIterator[PostgresProxy]:
    """A node's line to the database."""
    with TemporaryDirectory(prefix="oc-", dir="/tmp") as folder:
        async with PostgresProxy(socket_folder(database_url), Path(folder)) as proxy:
            yield proxy


@pytest.fixture
async def watched(database_url: str) -> AsyncIterator[None]:
    """The database itself refuses to let anything leave the prompts that memory does not have, and
    memory to pass over what was said before a conversation began anew."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(_WATCH)
    yield
    await connection.execute("DROP TRIGGER watch ON session; DROP FUNCTION watch")
    await connection.close()


_WATCH = """
CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.begin_seq > OLD.begin_seq AND NEW.begin_seq > NEW.flushed_seq THEN
        RAISE EXCEPTION 'prompts begin at %, memory has only %', NEW.begin_seq, NEW.flushed_seq;
    END IF;
    IF OLD.flushed_seq < OLD.reset_seq AND NEW.flushed_seq > OLD.reset_seq THEN
        RAISE EXCEPTION 'memory has what was said up to %, and goes on past /new at %',
            OLD.flushed_seq, OLD.reset_seq;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER watch BEFORE UPDATE OF begin_seq, flushed_seq ON session
    FOR EACH ROW WHEN (NEW.begin_seq > OLD.begin_seq OR NEW.flushed_seq > OLD.flushed_seq)
    EXECUTE FUNCTION watch();
"""
