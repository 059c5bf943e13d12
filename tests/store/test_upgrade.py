"""A database of an earlier version is migrated, and a daemon goes on with what was under way."""

from __future__ import annotations

import importlib.resources
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from opencraw.contract import DEFAULT_TENANT, Address
from opencraw.sessions.keys import session_id, session_key
from opencraw.store.migrations import migrate
from tests.fixtures.core import Core, is_whole, running
from tests.fixtures.mailbox import Mailbox

_SHIPPED = importlib.resources.files("opencraw.store").joinpath("migrations")

DEAD = UUID(int=1)


@pytest.fixture
def first_version(tmp_path: Path) -> Path:
    """The migrations as the first version shipped them."""
    for file in _SHIPPED.iterdir():
        if file.name.startswith("0001_"):
            (tmp_path / file.name).write_text(file.read_text("utf-8"), "utf-8")
    return tmp_path


class Older:
    """What the first version wrote."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def session(self, chat: str, **chosen: object) -> UUID:
        where = Address("test", "account", chat)
        id_ = session_id(where, DEFAULT_TENANT)
        await self._connection.execute(
            "INSERT INTO session (id, key, tenant, agent, channel, account, chat, thread,"
            " opened_by, mode, debounce_ms) VALUES ($1, $2, $3, 'main', 'test', 'account', $4, '',"
            " 'somebody', $5, $6)",
            *(id_, session_key(where, DEFAULT_TENANT), DEFAULT_TENANT, chat),
            *(chosen.get("mode"), chosen.get("debounce_ms")),
        )
        return id_

    async def message(
        self, session: UUID, text: str, state: str, *, turn: UUID | None = None,
        outcome: str | None = None,
    ) -> UUID:  # fmt: skip
        message = uuid4()
        await self._connection.execute(
            "INSERT INTO inbox (message_id, session_id, channel, account, dedupe_key, sender_id,"
            " sender_name, rights, text, correlation_id, origin, trigger_type, state, turn_id,"
            " outcome) VALUES ($1, $2, 'test', 'account', $3, 'somebody', 'Somebody', 'owner', $4,"
            " $1, 'channel', 'message', $5, $6, $7)",
            *(message, session, f"key of {message}", text, state, turn, outcome),
        )
        return message

    async def turn(self, session: UUID, state: str) -> UUID:
        turn = uuid4()
        await self._connection.execute(
            "INSERT INTO turn (id, session_id, state, owner, correlation_id, origin, trigger_type,"
            " rights, model, ended_at) VALUES ($1, $2, $3, $4, $1, 'channel', 'message', 'owner',"
            " 'script/one', CASE WHEN $3 <> 'running' THEN now() END)",
            *(turn, session, state, DEAD),
        )
        return turn

    async def line(self, session: UUID, turn: UUID, kind: str, text: str, message: UUID) -> None:
        await self._connection.execute(
            "WITH numbered AS (UPDATE session SET last_seq = last_seq + 1 WHERE id = $1"
            " RETURNING last_seq)"
            " INSERT INTO entry (session_id, seq, turn_id, kind, text, message_id, disposition)"
            " SELECT $1, last_seq, $2, $3, $4, $5, CASE WHEN $3 = 'user' THEN 'asked' END"
            "   FROM numbered",
            *(session, turn, kind, text, message),
        )

    async def began_anew(self, chat: str, after: int) -> None:
        await self._connection.execute(
            "UPDATE session SET reset_seq = $1 WHERE chat = $2", after, chat
        )

    async def answered(self, session: UUID, text: str, delivery: str) -> None:
        """A turn that ended, and its delivery in this state."""
        turn = await self.turn(session, "done")
        message = await self.message(session, text, "done", turn=turn, outcome="answered")
        await self.line(session, turn, "user", text, message)
        reply = uuid4()
        await self.line(session, turn, "assistant", f"old answer to {text}", reply)
        await self._connection.execute(
            "INSERT INTO outbox (delivery_id, session_id, turn_id, seq, channel, account, chat,"
            " thread, kind, text, state, owner, attempts)"
            " SELECT $1, id, $2, last_seq, channel, account, chat, thread, 'reply', $3, $4,"
            "        CASE WHEN $4 = 'sending' THEN $5::uuid END,"
            "        CASE WHEN $4 = 'pending' THEN 0 ELSE 1 END"
            "   FROM session WHERE id = $6",
            *(reply, turn, f"old answer to {text}", delivery, DEAD, session),
        )


async def _fill(older: Older) -> None:
    """One conversation per state in which a daemon can leave one behind."""
    waits = await older.session("waits", mode="followup", debounce_ms=0)
    await older.message(waits, "one", "waiting")
    await older.message(waits, "two", "waiting")
    await older.message(waits, "never mind", "done", outcome="withdrawn")
    await older.message(waits, "/status", "done", outcome="command")
    runs = await older.session("runs")
    turn = await older.turn(runs, "running")
    message = await older.message(runs, "asked", "taken", turn=turn)
    await older.line(runs, turn, "user", "asked", message)
    await older.message(runs, "meanwhile", "waiting")
    for delivery in ("pending", "sending", "sent"):
        await older.answered(await older.session(delivery), "question", delivery)
    await older.began_anew("sent", 1)


@pytest.fixture
async def older_database_url(empty_database_url: str, first_version: Path) -> str:
    """What the first version left behind when it was killed."""
    assert await migrate(empty_database_url, first_version) == 1
    connection = await asyncpg.connect(empty_database_url)
    await connection.execute(
        "INSERT INTO node (id, home, host, pid, lease_until)"
        " VALUES ($1, $1, '', 1, now() - interval '1 minute')",
        DEAD,
    )
    await _fill(Older(connection))
    await connection.close()
    return empty_database_url


async def test_nothing_is_lost_when_the_first_version_is_followed_by_this_one(
    older_database_url: str,
) -> None:
    assert await migrate(older_database_url) >= 1
    async with running(older_database_url, mode="followup", channel=Mailbox()) as core:
        await core.settled()
        await is_whole(core.database)
        assert core.channel.texts("waits") == ["echo one", "echo two"]
        assert core.channel.texts("runs") == ["echo asked", "echo meanwhile"]
        assert core.channel.texts("pending") == ["old answer to question"]
        assert core.channel.texts("sending") == ["old answer to question"]
        assert core.channel.texts("sent") == [], "it was delivered already"
        assert [each.recovered for each in core.channel.got if each.address.chat == "sending"] == [
            True
        ]
        # What was said before platforms named their messages has no name, and answers need none.
        [names] = await core.fetch(
            "SELECT array_agg(DISTINCT platform_id) AS there,"
            "       array_agg(DISTINCT reply_context) AS needed FROM inbox"
        )
        assert (names["there"], names["needed"]) == ([""], [""])
        assert {(each.reply_context, each.parts, each.draft) for each in core.channel.got} == {
            ("", (), "")
        }
        old = [each.ends for each in core.channel.got if each.line.text.startswith("old")]
        assert old == [None, None], "nothing of their turns was ever drawn"
        assert not await core.fetch("SELECT FROM outbox WHERE retried_by IS NOT NULL")
        assert not await core.fetch("SELECT FROM outbox WHERE trouble <> ''")
        assert await core.outcomes("waits") == [
            ("one", "answered"), ("two", "answered"), ("never mind", "withdrawn"),
            ("/status", "command"),
        ]  # fmt: skip
        await _talks_on(core)


async def _talks_on(core: Core) -> None:
    """Old conversations are remembered, with what their people chose."""
    assert (await core.asked("more", "pending")).text == "echo more"
    texts = [entry.text for entry in await core.transcript("pending")]
    assert texts == ["question", "old answer to question", "more", "echo more"]
    session = await core.sessions.session(
        session_id(Address("test", "account", "waits"), DEFAULT_TENANT)
    )
    assert session is not None
    assert (session.choice.mode, session.choice.debounce_ms) == ("followup", 0)
    assert (session.choice.cap, session.choice.drop) == (None, None)
    await _goes_on_as_before(core)
    for table in ("inbox", "turn"):
        strayed = await core.fetch(
            f"SELECT FROM {table} JOIN session ON session.id = {table}.session_id"
            f" WHERE ({table}.channel, {table}.account, {table}.chat, {table}.thread)"
            "    <> (session.channel, session.account, session.chat, session.thread)"
        )
        assert not strayed, "each message and turn is where its conversation was"
    [turn] = await core.fetch("SELECT attempt, deaths, pool FROM turn WHERE attempt > 1")
    assert tuple(turn) == (2, 1, "interactive")


async def _goes_on_as_before(core: Core) -> None:
    """What conversations know of themselves since then is what it was."""
    [row] = await core.fetch(
        "SELECT flushed_seq, reset_seq, begun_at = created_at AS begun, model_pinning, time_zone,"
        " archived_at, removed_seq, copying_seq FROM session WHERE chat = 'sent'"
    )
    assert row["flushed_seq"] == row["reset_seq"] == 1, "it was told to forget that"
    assert (row["begun"], row["model_pinning"], row["removed_seq"]) == (True, "prefer", 0)
    assert row["time_zone"] is row["archived_at"] is row["copying_seq"] is None
    [row] = await core.fetch("SELECT last_said_at, begun_at FROM session WHERE chat = 'pending'")
    assert row["last_said_at"] > row["begun_at"]
