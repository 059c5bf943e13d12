"""D3: neither a message that no database takes nor a platform that fails ends anything."""

from __future__ import annotations

import pytest

from opencraw.errors import MaybeSent, NotSent, Refused
from tests.fixtures.core import envelope, is_whole, running
from tests.fixtures.mailbox import Mailbox


async def test_d03_poison_message_and_502_are_contained(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    mailbox = Mailbox()
    async with running(database_url, channel=mailbox) as core:
        # Poison: cleaned where it is text, refused where it is a name; never an unknown error.
        assert (
            await core.asked("null \x00 and half \ud83d")
        ).text == "echo null \ufffd and half \ufffd"
        for poison in (
            envelope("hello", key="\x00"),
            envelope("hello", key="half \ud83d"),
            envelope("hello", "chat \x00"),
            envelope("hello", "chat \ud83d"),
        ):
            with pytest.raises(Refused):
                await core.door.accept(poison)

        # A 502 from the platform, of which nobody knows whether the message passed it, and a busy
        # one: tried again, in order, and then a defect of the channel itself.
        mailbox.trouble.extend([MaybeSent("502 Bad Gateway"), NotSent("429", retry_after=0.0)])
        assert (await core.asked("one")).text == "echo one"
        mailbox.trouble.append(ValueError("a payload nobody foresaw"))
        assert (await core.asked("two")).text == "echo two"
        assert "a payload nobody foresaw" in caplog.text
        assert [each.recovered for each in mailbox.got] == [False, True, True]

        assert (await core.asked("hello", "b")).text == "echo hello"
        await core.settled()
        await is_whole(core.database)
        rows = await core.fetch("SELECT attempts, unknown FROM outbox ORDER BY id")
        assert [tuple(row) for row in rows] == [(1, 0), (3, 1), (2, 1), (1, 0)]
