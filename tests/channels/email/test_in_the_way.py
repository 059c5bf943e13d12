"""One mail that a server does not hand out, and a server that hands out none for a while."""

from __future__ import annotations

import json

import pytest

from tests.channels.email.platform import EmailPlatform
from tests.channels.house import House
from tests.fixtures.core import until


async def behind(house: House) -> list[str]:
    """What the channel has noted that it left behind."""
    [row] = await house.database.fetch("SELECT value FROM cursor_position WHERE channel = 'email'")
    mails: list[str] = json.loads(row["value"])["behind"]
    return mails


async def test_a_mail_that_nobody_can_read_is_put_aside_and_the_mailbox_goes_on(
    platform: EmailPlatform, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channels.mail.tries.PAUSES", (0.2, 0.2))
    await house.open()
    await platform.says("[[say Before.]]")
    await house.sees("Before.")
    await house.close()
    await platform.says("[[say Spoiled.]]")
    platform.dovecot.spoil(platform.address, b"Spoiled.")
    await platform.says("[[say After.]]", chat="c")
    await house.open()
    await house.sees("After.", chat="c")
    # It is the last mail of all now, and its owner is told.
    await house.sees("mail 2 of the folder INBOX")
    [row] = await house.database.fetch("SELECT payload, problem FROM quarantined")
    assert row["payload"].startswith("mail 2 of the folder INBOX, UIDVALIDITY ")
    assert "3 times, while others were" in row["problem"]
    assert await behind(house) == []


@pytest.mark.usefixtures("restless")
async def test_a_server_that_breaks_each_line_for_a_while_costs_no_mail(
    platform: EmailPlatform, house: House
) -> None:
    await house.open()
    await platform.says("[[say Before.]]")
    await house.sees("Before.")
    platform.line.breaks_at = b"BODY.PEEK["
    for number, chat in enumerate("abcab"):
        key = f"<new-{number}@example.org>"
        mail = platform.mail(f"[[say Number {number}.]]", platform.person(chat), key)
        await platform.arrives_unseen(mail.as_bytes())
    broken = len(platform.line.asked)
    await until(lambda: platform.line.asked[broken:].count(b"BODY.PEEK[") > 7, "many lines")
    platform.line.breaks_at = b""
    for number, chat in enumerate("abcab"):
        await house.sees(f"Number {number}.", chat=chat)
    assert await house.count("quarantined") == 0
    await house.becomes("running")


async def test_what_was_left_behind_is_asked_for_by_the_next_process(
    platform: EmailPlatform, house: House
) -> None:
    await house.open()
    await platform.says("[[say Before.]]")
    await house.sees("Before.")
    await house.at_rest()
    platform.line.breaks_at = b"FETCH 2 "
    for chat in "bc":
        mail = platform.mail("[[say Here.]]", platform.person(chat), f"<{chat}@example.org>")
        await platform.arrives_unseen(mail.as_bytes())
    await house.sees("Here.", chat="c")
    assert await behind(house) == ["2"]
    assert platform.shown("b") == []
    await house.close()
    platform.line.breaks_at = b""
    await house.open()
    await house.sees("Here.", chat="b")
    await house.at_rest()
    assert await behind(house) == []
