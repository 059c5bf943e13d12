from __future__ import annotations

import pytest

from opencraw.queue.inbox import Inbox
from opencraw.queue.modes import Overflow
from opencraw.sessions import transcript
from opencraw.sessions.transcript import Sessions
from opencraw.store.database import Database
from tests.fixtures.core import accept, address, envelope, session_of


async def overflowing(database: Database, *texts: str) -> None:
    """Messages that were said; all but the newest give up their places."""
    inbox = Inbox(database)
    for text in texts:
        await accept(inbox, envelope(text))
    [lane] = await inbox.waiting([session_of()])
    ids = tuple(message.id for message in lane.messages[:-1])
    leaving = Overflow(ids, summarized=True)
    await inbox.give_up_places(session_of(), leaving, address(), "full")


async def test_what_gave_up_its_place_is_told_from_what_waits(database: Database) -> None:
    await overflowing(database, "one", "two", "three")
    pending = await Sessions(database).pending(session_of())
    assert [(each.text, each.overflowed) for each in pending] == [
        ("one", True),
        ("two", True),
        ("three", False),
    ]


async def test_of_a_flood_the_newest_are_told(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcript, "MOST_OVERFLOWED", 2)
    await overflowing(database, "one", "two", "three", "four")
    pending = await Sessions(database).pending(session_of())
    assert [each.text for each in pending] == ["two", "three", "four"]
