"""One mail that Google tells of oddly, or not at all, does not stand in the way of the next."""

from __future__ import annotations

import pytest

from tests.channels.gmail.platform import ADDRESS, GmailPlatform
from tests.channels.house import House
from tests.fakes.gmail import GmailError
from tests.fixtures.core import until


async def test_a_record_of_history_in_another_shape_does_not_end_the_channel(
    platform: GmailPlatform, house: House
) -> None:
    await house.open()
    mail = platform.mail("[[say Never.]]", "a@example.org", "<odd@example.org>")
    [stored] = await platform.arrives(mail.as_bytes())
    platform.server.garbled.add(stored.id)
    await platform.says("[[say Still here.]]")
    await house.sees("Still here.")
    assert await house.count("quarantined WHERE payload = $1", "no record") == 1


@pytest.mark.parametrize(("status", "wanted"), [(400, "metadata"), (500, "metadata"), (500, "raw")])
async def test_a_mail_that_google_does_not_hand_out_does_not_stand_in_the_way_of_the_next(
    platform: GmailPlatform,
    house: House,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    wanted: str,
) -> None:
    monkeypatch.setattr("channels.mail.tries.PAUSES", (0.2, 0.2))
    await house.open()
    await platform.says("[[say Before.]]")
    await house.sees("Before.")
    await house.close()
    await platform.says("[[say Never.]]")
    kept = platform.server.mails[-1].id
    platform.server.kept[kept, wanted] = GmailError(status, "failedPrecondition", "Not this one")
    await platform.says("[[say After.]]")
    await house.open()
    await house.sees("Before.", "After.")
    # Who wrote it is known by its headers, and else an owner is told.
    told = "send it again" if wanted == "raw" else f"mail {kept} of the mailbox"
    await house.sees("Before.", "After.", told)
    [row] = await house.database.fetch("SELECT payload, problem FROM quarantined")
    assert row["payload"] == f"mail {kept} of the mailbox {ADDRESS}"
    assert "Not this one" in row["problem"]


async def test_what_was_left_behind_is_asked_for_by_the_next_process(
    platform: GmailPlatform, house: House
) -> None:
    await house.open()
    await platform.says("[[say Before.]]")
    await house.sees("Before.")
    mail = platform.mail("[[say Here.]]", "b@example.org", "<b@example.org>")
    [kept] = await platform.arrives(mail.as_bytes())
    platform.server.kept[kept.id, "metadata"] = GmailError(500, "failedPrecondition", "No")
    await platform.says("[[say After.]]", chat="c")
    await house.sees("After.", chat="c")
    await house.close()
    platform.server.kept.clear()
    await house.open()
    await house.sees("Here.", chat="b")


@pytest.mark.usefixtures("restless")
async def test_a_google_that_hands_out_no_mail_for_a_while_costs_none(
    platform: GmailPlatform, house: House
) -> None:
    await house.open()
    await platform.says("[[say Before.]]")
    await house.sees("Before.")
    get = "gmail.users.messages.get"
    platform.server.faults += [(get, GmailError(500, "backendError"))] * 100
    for number, chat in enumerate("ab"):
        await platform.says(f"[[say Number {number}.]]", chat=chat)
    await until(lambda: platform.server.calls.count(get) > 9, "many questions")
    await house.becomes("failed")
    platform.server.faults.clear()
    for number, chat in enumerate("ab"):
        await house.sees(f"Number {number}.", chat=chat)
    assert await house.count("quarantined") == 0


async def test_a_mail_that_cannot_be_marked_as_read_is_heard_all_the_same(
    platform: GmailPlatform, house: House
) -> None:
    await house.open()
    platform.server.faults.append(("gmail.users.messages.modify", GmailError(500, "backendError")))
    await platform.says("[[say Once.]]")
    await house.sees("Once.")
    await platform.says("[[say Twice.]]")
    await house.sees("Once.", "Twice.")
    question, *_ = platform.server.mails
    assert "UNREAD" in question.labels
    await house.becomes("running")
