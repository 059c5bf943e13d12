from __future__ import annotations

import email
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from uuid import UUID

import msgspec
import pytest

from channels.mail.addresses import Person
from channels.mail.composing import compose
from channels.mail.heading import TurnedAway
from channels.mail.threads import ReplyContext
from opencraw.contract import Address, Delivery, Line
from opencraw.errors import NeverSendable
from tests.channels.mail.mails import RULES, judged, written

BOT = Person("bot@lab.test", "Craw, the “assistant”")
CONTEXT = ReplyContext("<2@x>", ("<1@x>", "<2@x>"), "Re: Grüße")
AT = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


def delivery(text: str = "Hello **you**", *, context: ReplyContext | None = CONTEXT) -> Delivery:
    return Delivery(
        UUID(int=5),
        Address("email", "bot@lab.test", "alice@example.org", "thread7"),
        Line(1, "reply", text, AT, UUID(int=5)),
        reply_context=context.written() if context is not None else "",
    )


def parsed(given: Delivery) -> EmailMessage:
    message = email.message_from_bytes(compose(given, BOT).data, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def test_an_answer_goes_to_whom_it_answers_in_his_thread() -> None:
    message = parsed(delivery())
    assert message["To"] == "alice@example.org"
    assert "Cc" not in message
    assert message["Subject"] == "Re: Grüße"
    assert message["In-Reply-To"] == "<2@x>"
    assert message["References"] == "<1@x> <2@x>"
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["From"].addresses[0].addr_spec == "bot@lab.test"
    assert message["Message-ID"] == f"<oc.{UUID(int=5).hex}.thread7@lab.test>"


def test_it_is_there_as_plain_text_and_as_html() -> None:
    message = parsed(delivery("# Title\n\nHello **you** <script>x</script>"))
    plain, rich = message.iter_parts()
    assert plain.get_content_type() == "text/plain"
    assert "**" not in plain.get_content()
    assert rich.get_content_type() == "text/html"
    assert "<strong>you</strong>" in rich.get_content() or "<b>you</b>" in rich.get_content()
    assert "<script>" not in rich.get_content()


def test_the_same_delivery_is_the_same_mail() -> None:
    assert compose(delivery(), BOT) == compose(delivery(), BOT)


def test_a_second_copy_says_that_it_may_be_one() -> None:
    again = msgspec.structs.replace(delivery(), recovered=True)
    assert "may have arrived" in parsed(again).as_string()
    assert compose(again, BOT).message_id == compose(delivery(), BOT).message_id


def test_what_answers_nothing_begins_with_what_it_says() -> None:
    message = parsed(delivery("**Good morning**, it is time for the thing\nand more", context=None))
    assert message["Subject"] == "Good morning, it is time for the thing"
    assert "In-Reply-To" not in message
    assert message["Auto-Submitted"] == "auto-generated"


def test_a_second_copy_of_what_answers_nothing_has_the_subject_of_the_first() -> None:
    first = delivery("The backup of Friday failed.\n\nMore below.", context=None)
    again = parsed(msgspec.structs.replace(first, recovered=True))
    assert again["Subject"] == parsed(first)["Subject"] == "The backup of Friday failed."
    assert "may have arrived" in again.as_string()


def test_a_subject_says_who_asks() -> None:
    asks = "Somebody asks to be let in: guest, email id somebody.with.a.name@sub.example.org."
    message = parsed(delivery(f"{asks} Their code is {'X' * 100}.", context=None))
    assert message["Subject"] == f"{asks} Their code is …"


@pytest.mark.parametrize(
    "subject", ["x\r\nBcc: eve@evil.test", "x\nBcc: eve@evil.test", "\x00\x1b"]
)
def test_a_subject_cannot_add_a_header(subject: str) -> None:
    message = parsed(delivery(context=ReplyContext("<2@x>", ("<2@x>",), subject)))
    assert "Bcc" not in message


@pytest.mark.parametrize("chat", ["", "alice", "a b@c", "alice@example.org\r\nBcc: eve@evil.test"])
def test_an_address_that_is_none_is_never_written_to(chat: str) -> None:
    given = delivery()
    where = msgspec.structs.replace(given.address, chat=chat)
    with pytest.raises(NeverSendable):
        compose(msgspec.structs.replace(given, address=where), BOT)


def test_two_assistants_do_not_write_to_each_other() -> None:
    passed = "spf=pass smtp.mailfrom=lab.test; dmarc=pass header.from=lab.test"
    results = {"results": f"{RULES.authserv_id}; {passed}"}
    ours = compose(delivery(), Person("other@lab.test")).data
    stamped = f"Authentication-Results: {results['results']}\r\n".encode() + ours
    found = judged(stamped)
    assert isinstance(found, TurnedAway)
    assert "automatic reply" in found.reason
    # It would have been let in without the header that every answer has.
    assert not isinstance(judged(written(sender="other@lab.test", **results)), TurnedAway)
