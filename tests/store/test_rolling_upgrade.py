"""Machine after machine is upgraded: daemons of the previous release go on beside this one.

Their statements lie in `previous_release`, as they were released.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from opencraw.contract import DEFAULT_TENANT, Address
from opencraw.sessions.keys import session_id, session_key
from opencraw.store.queries import parse
from tests.fixtures.core import is_whole, running
from tests.fixtures.mailbox import Mailbox

STATEMENTS = {
    name: sql
    for file in sorted(Path(__file__).with_name("previous_release").glob("*.sql"))
    for name, sql in parse(file.read_text()).items()
}


class Previous:
    """A daemon of the previous release, as the database sees it."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self.node = uuid4()

    async def _does(self, name: str, *row: object) -> asyncpg.Record:
        [record] = await self._connection.fetch(STATEMENTS[name], *([value] for value in row))
        return record

    async def accept(self, text: str, chat: str = "a") -> int:
        """A message comes in; returns its place in the inbox."""
        where = Address("test", "account", chat)
        message = uuid4()
        await self._does(
            "accept", message, self.session(chat), session_key(where, DEFAULT_TENANT),
            DEFAULT_TENANT, "main", "test", "account", chat, "", "direct", "somebody", "Somebody",
            "owner", text, str(message), uuid4(), "channel", "message", False,
        )  # fmt: skip
        found: int = await self._connection.fetchval(
            "SELECT id FROM inbox WHERE message_id = $1", message
        )
        return found

    def session(self, chat: str = "a") -> UUID:
        return session_id(Address("test", "account", chat), DEFAULT_TENANT)

    async def begin(self, *messages: int, chat: str = "a") -> UUID:
        turn = uuid4()
        await self._does(
            "start_turn", turn, self.session(chat), self.node, ",".join(map(str, messages)), "",
            uuid4(), "channel", "message", "owner", "script/one", 0, 0, 0, "interactive", "", 0, 0,
            uuid4(),
        )  # fmt: skip
        return turn

    async def step(self, turn: UUID, write: int, heard: int) -> None:
        line = [{"kind": "assistant", "text": "let me see"}]
        await self._does(
            "advance", turn, self.node, 1, write, json.dumps(line), str(heard), 1, 1, 0
        )

    async def settle(self, turn: UUID, write: int, text: str) -> None:
        line = [{"kind": "assistant", "text": text}]
        await self._does(
            "settle", turn, self.node, 1, write, "done", json.dumps(line), 1, 1, 0, None,
            "answered", uuid4(), "reply", text, "[]",
        )  # fmt: skip

    async def command(self, text: str, change: str, chat: str = "a") -> None:
        message = uuid4()
        await self._does(
            "answer_command", message, self.session(chat), "test", "account", "somebody",
            "Somebody", "owner", text, uuid4(), "channel", str(message), "direct", change, None,
            None, None, None, None, None, None, "done", uuid4(),
        )  # fmt: skip


@pytest.fixture
async def previous(database_url: str) -> AsyncIterator[Previous]:
    """It connected before the database was brought up to date."""
    connection = await asyncpg.connect(database_url)
    yield Previous(connection)
    await connection.close()


async def test_every_statement_of_the_previous_release_can_be_prepared(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    for sql in STATEMENTS.values():
        await connection.prepare(sql)
    await connection.close()


async def test_what_the_previous_release_takes_in_and_answers_is_kept(
    previous: Previous, database_url: str
) -> None:
    turn = await previous.begin(await previous.accept("hello"))
    await previous.step(turn, 1, await previous.accept("and this"))
    await previous.settle(turn, 2, "old answer")
    await previous.command("/status", "")
    async with running(database_url) as core:
        await core.settled()
        await is_whole(core.database)
        assert core.channel.texts() == ["old answer", "done"]
        assert await core.outcomes() == [
            ("hello", "answered"), ("and this", "injected"), ("/status", "command"),
        ]  # fmt: skip
        await core.asked("go on")
        assert [entry.text for entry in await core.transcript()] == [
            "hello", "let me see", "and this", "old answer", "go on", "echo go on",
        ]  # fmt: skip


async def test_what_the_previous_release_leaves_is_answered_where_it_was_asked(
    previous: Previous, database_url: str
) -> None:
    await previous.begin(await previous.accept("was running", "a"), chat="a")
    await previous.accept("waits", "b")
    async with running(database_url, channel=Mailbox()) as core:
        await core.settled()
        await is_whole(core.database)
        assert core.channel.texts("a") == ["echo was running"]
        assert core.channel.texts("b") == ["echo waits"]
        for table in ("inbox", "turn"):
            strayed = await core.fetch(
                f"SELECT FROM {table} JOIN session ON session.id = {table}.session_id"
                f" WHERE ({table}.channel, {table}.account, {table}.chat, {table}.thread)"
                "    IS DISTINCT FROM"
                "      (session.channel, session.account, session.chat, session.thread)"
            )
            assert not strayed, table


async def test_the_previous_release_may_take_back_a_choice_that_it_does_not_know_whole(
    previous: Previous, database_url: str
) -> None:
    async with running(database_url) as core:
        await core.asked("hello")
        await core.sessions.choose_model(previous.session(), "script/one", "strict")
        await previous.command("/model clear", "model")
        [row] = await core.fetch("SELECT model, model_pinning FROM session")
        assert tuple(row) == (None, "prefer")
