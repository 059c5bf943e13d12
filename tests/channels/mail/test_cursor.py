"""What is looked at again where a mailbox has lost count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from channels.email.channel import FolderCursor
from channels.gmail.channel import HistoryCursor
from channels.mail.cursor import Cursor

BEGUN = datetime(2026, 11, 1, tzinfo=UTC)


def test_mail_of_the_last_days_is_looked_at_again_and_never_what_was_there_before_us() -> None:
    assert Cursor(BEGUN, BEGUN + timedelta(days=9)).since == BEGUN + timedelta(days=7)
    assert Cursor(BEGUN, BEGUN + timedelta(hours=1)).since == BEGUN


def test_a_cursor_is_read_as_it_was_written() -> None:
    folder = FolderCursor(BEGUN, BEGUN, 7, 12)
    assert FolderCursor.read(folder.written()) == folder
    history = HistoryCursor(BEGUN, BEGUN, "1990")
    assert HistoryCursor.read(history.written()) == history
    assert HistoryCursor.read(None) is None


def test_a_cursor_that_moves_began_when_it_did() -> None:
    moved = FolderCursor(BEGUN, BEGUN, 7, 12).at(13)
    assert (moved.begun, moved.validity, moved.uid) == (BEGUN, 7, 13)
    assert moved.moved > BEGUN
