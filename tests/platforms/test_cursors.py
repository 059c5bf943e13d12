from __future__ import annotations

import pytest

from opencraw.errors import Refused
from opencraw.platforms.cursors import LONGEST_VALUE, SQL, Cursors
from opencraw.store.database import Database
from tests.fixtures.core import envelope, running
from tests.fixtures.mailbox import Mailbox


async def test_a_channel_that_begins_stands_nowhere(database: Database) -> None:
    assert await Cursors(database).position("telegram", "1", "") is None


async def test_a_cursor_stands_where_it_was_put(database: Database) -> None:
    cursors = Cursors(database)
    for value in ("10", "11"):
        await cursors.move("telegram", "1", "", value)
    await cursors.move("telegram", "2", "", "other account")
    await cursors.move("telegram", "1", "chat 5", "other name")
    assert await cursors.position("telegram", "1", "") == "11"
    assert await cursors.position("telegram", "2", "") == "other account"
    assert await cursors.position("telegram", "1", "chat 5") == "other name"


async def test_of_two_moves_in_one_group_the_last_counts(database: Database) -> None:
    rows = await database.fetch(SQL.move, ["telegram"] * 2, ["1"] * 2, [""] * 2, ["first", "last"])
    assert [row["ord"] for row in rows] == [1, 2]
    assert await Cursors(database).position("telegram", "1", "") == "last"


@pytest.mark.parametrize("value", ["x" * (LONGEST_VALUE + 1), "half \ud800", "nul \0"])
async def test_what_cannot_be_kept_is_refused(database: Database, value: str) -> None:
    with pytest.raises(Refused, match="cannot be kept"):
        await Cursors(database).move("telegram", "1", "", value)


async def test_a_cursor_that_a_late_receiver_moved_back_does_no_harm(database_url: str) -> None:
    """Two nodes believe for a moment that they receive. What is handed out again is known."""
    async with (
        running(database_url) as first,
        running(database_url, start=False, channel=Mailbox()) as late,
    ):
        updates = [envelope(f"message {number}", key=f"update {number}") for number in range(4)]
        for update in updates:
            await first.gateway.accept(update)
        await first.gateway.move_cursor("test", "account", "4")
        await late.gateway.move_cursor("test", "account", "2")
        assert await first.gateway.cursor("test", "account") == "2"
        again = [await first.gateway.accept(update) for update in updates[2:]]
        assert all(receipt.duplicate for receipt in again)
        await first.settled()
        assert len(await first.fetch("SELECT FROM inbox")) == 4
