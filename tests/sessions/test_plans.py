"""How much is read to look after one conversation among many."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from opencraw.contract import Rights
from opencraw.sessions.change import Stop
from opencraw.sessions.change import columns as columns_of
from opencraw.sessions.keeping import SQL as KEEPING
from opencraw.sessions.transcript import SQL as SESSIONS
from tests.fixtures.core import Core, running, session_of
from tests.fixtures.database import rows_read

#: Enough for an index to be worth its while.
ELSEWHERE = 3_000


@pytest.mark.parametrize("name", ["session", "unread", "remove", "stop"])
async def test_what_others_said_is_not_read(database_url: str, name: str) -> None:
    async with running(database_url, start=False) as core:
        await core.say("here")
        await core.say("elsewhere", "b")
        await said_elsewhere(core)
        here = session_of()
        sql, values = {
            "session": (SESSIONS.session, (here,)),
            "unread": (KEEPING.unread_messages, (here, datetime.now(UTC), 100)),
            "remove": (KEEPING.remove, ([here], [0])),
            "stop": (SESSIONS.answer_command, stop()),
        }[name]
        assert await rows_read(database_url, sql, *values) < 100


async def said_elsewhere(core: Core) -> None:
    """In another conversation much was said and settled."""
    await core.fetch(
        "INSERT INTO inbox (message_id, session_id, channel, account, dedupe_key, sender_id,"
        " sender_name, rights, text, correlation_id, origin, trigger_type, state, outcome)"
        " SELECT gen_random_uuid(), $1, 'test', '', 'number ' || number, 'a', 'A', 'owner', 'hi',"
        " gen_random_uuid(), 'channel', 'message', 'done', 'answered'"
        " FROM generate_series(1, $2) AS number",
        *(session_of("b"), ELSEWHERE),
    )
    await core.fetch("ANALYZE inbox")


def stop() -> list[list[object]]:
    row = (uuid4(), session_of(), "test", "", "a", "", "a", "A", Rights.OWNER, "/stop", uuid4(),
           "channel", "the stop", "direct", *columns_of(Stop()), "Stopped.", uuid4(), "", "",
           None)  # fmt: skip
    return [[value] for value in row]
