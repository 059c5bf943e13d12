"""D4: an answer by mail goes to whoever wrote, in his thread, and the whole of what he wrote is
read."""

from __future__ import annotations

import email
from email import policy
from email.message import EmailMessage
from pathlib import Path

from tests.channels.email.post_office import ALICE, PostOffice
from tests.channels.house import House, housed
from tests.fixtures.core import until


async def test_d04_email_reply_mime_round_trip(tmp_path: Path, database_url: str) -> None:
    async with PostOffice() as office, housed(office, tmp_path, database_url) as house:
        await house.open()
        await _is_ready(house)
        question = _mail("Zürich & Genf", "[[say Grüezi, *Alice*.]]")
        question.add_alternative("<p>[[say Not this one.]]</p>", subtype="html")
        question.add_attachment(b"1;2", maintype="text", subtype="csv", filename="zahlen.csv")
        await office.posts(question)
        [answer] = await _answers(office, 1)
        assert answer["To"] == ALICE
        assert answer["From"].addresses[0].addr_spec == office.address
        assert answer["Subject"] == "Re: Zürich & Genf"
        assert answer["In-Reply-To"] == question["Message-ID"]
        assert answer["References"] == question["Message-ID"]
        assert answer["Auto-Submitted"] == "auto-replied"
        plain, rich = (answer.get_body((kind,)) for kind in ("plain", "html"))
        assert plain is not None
        assert rich is not None
        assert plain.get_content().strip() == "Grüezi, Alice."
        assert "<i>Alice</i>" in rich.get_content()
        [said] = await house.database.fetch("SELECT text, session_id FROM inbox")
        assert said["text"] == "Subject: Zürich & Genf\n\n[[say Grüezi, *Alice*.]]"
        assert await house.count("attachment WHERE name = 'zahlen.csv'") == 1

        # Her program knows whom she answers, and not where it began.
        again = _mail("Re: Zürich & Genf", "[[say And again.]]\n\nOn 21 Nov 2026 Bot wrote:\n> x")
        again["In-Reply-To"] = str(answer["Message-ID"])
        await office.posts(again)
        _, second = await _answers(office, 2)
        assert second["In-Reply-To"] == again["Message-ID"]
        assert second["References"].split() == [answer["Message-ID"], again["Message-ID"]]
        rows = await house.database.fetch("SELECT text, session_id FROM inbox ORDER BY id")
        assert rows[1]["text"] == "[[say And again.]]"
        assert rows[1]["session_id"] == said["session_id"]

        # A copy is kept once the answer is on its way.
        async def are_kept() -> bool:
            return len(await office.mails(office.address, "Sent")) == 2

        await until(are_kept, "copies of both answers")
        kept = await office.mails(office.address, "Sent")
        assert [_parsed(each)["Message-ID"] for each in kept] == [
            answer["Message-ID"],
            second["Message-ID"],
        ]


_numbers = iter(range(1, 100))


def _mail(subject: str, text: str) -> EmailMessage:
    message = EmailMessage(policy=policy.SMTP)
    message["From"] = f"Alice <{ALICE}>"
    message["To"] = "bot@lab.test"
    message["Subject"] = subject
    message["Message-ID"] = f"<{next(_numbers)}.d04@example.org>"
    message.set_content(text)
    return message


def _parsed(data: bytes) -> EmailMessage:
    message = email.message_from_bytes(data, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


async def _is_ready(house: House) -> None:
    """What was in the mailbox before the first look is nobody's business."""
    await until(lambda: house.count("cursor_position WHERE channel = 'email'"))


async def _answers(office: PostOffice, count: int) -> list[EmailMessage]:
    async def have_come() -> bool:
        return len(await office.mails()) >= count

    await until(have_come, "an answer in Alice's mailbox")
    return [_parsed(each) for each in await office.mails()]
