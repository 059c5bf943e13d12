from __future__ import annotations

from uuid import UUID

import pytest

from channels.mail.headers import read_headers
from channels.mail.threads import (
    MOST_REFERENCES,
    ReplyContext,
    answered_subject,
    own_message_id,
    reply_context,
    thread,
)

DELIVERY = UUID(int=7)


def thread_of(**headers: str) -> str:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return thread(read_headers(lines.encode()), "lab.test")


def test_a_thread_is_the_mail_that_began_it() -> None:
    root = thread_of(message_id="<root@x>")
    assert root
    assert thread_of(message_id="<2@x>", references="<root@x>") == root
    assert thread_of(message_id="<3@x>", references="<root@x>\r\n <2@x>") == root
    assert thread_of(message_id="<2@x>", in_reply_to="<root@x>") == root
    assert thread_of(message_id="<other@x>") != root


def test_whoever_answers_us_without_references_is_in_his_thread_all_the_same() -> None:
    root = thread_of(message_id="<root@x>")
    ours = own_message_id(DELIVERY, root, "lab.test")
    assert thread_of(message_id="<4@x>", in_reply_to=ours) == root
    assert thread_of(message_id="<5@x>", references=f"<lost@x> {ours}") == root


def test_an_id_that_another_assistant_made_is_nobodys_thread_here() -> None:
    root = thread_of(message_id="<root@x>")
    theirs = own_message_id(DELIVERY, root, "other.test")
    assert thread_of(message_id="<4@x>", in_reply_to=theirs) != root


def test_what_we_began_goes_on_where_we_began_it() -> None:
    ours = own_message_id(DELIVERY, "", "lab.test")
    assert thread_of(message_id="<4@x>", in_reply_to=ours) == ""


def test_the_same_delivery_has_the_same_id() -> None:
    assert own_message_id(DELIVERY, "t", "lab.test") == own_message_id(DELIVERY, "t", "lab.test")


@pytest.mark.parametrize(
    ("subject", "answered"),
    [
        ("Hello", "Re: Hello"),
        ("Re: Hello", "Re: Hello"),
        ("RE: AW: Re[2]: Hello", "Re: Hello"),
        ("Regarding: that", "Re: Regarding: that"),
        ("", "Re: your mail"),
        ("a\r\nBcc: eve@evil.test", "Re: a Bcc: eve@evil.test"),
        ("x" * 500, "Re: " + "x" * 200),
    ],
)
def test_a_subject_is_answered_once(subject: str, answered: str) -> None:
    assert answered_subject(subject) == answered


def test_references_stay_few_and_keep_the_first() -> None:
    chain = " ".join(f"<{number}@x>" for number in range(100))
    block = f"Message-ID: <new@x>\r\nReferences: {chain}\r\nSubject: Hi\r\n"
    context = reply_context(read_headers(block.encode()))
    assert len(context.references) == MOST_REFERENCES
    assert context.references[0] == "<0@x>"
    assert context.references[-2:] == ("<99@x>", "<new@x>")
    assert ReplyContext.read(context.written()) == context


def test_the_longest_context_is_within_what_is_kept_of_one() -> None:
    """Quotation marks are longer where it is kept than in the mail."""
    chain = " ".join(f"<{chr(34) * 245}{number:02}@x>" for number in range(60))
    own = f"<{chr(34) * 250}>"
    block = f"Message-ID: {own}\r\nReferences: {chain}\r\nSubject: {chr(34) * 400}\r\n"
    context = reply_context(read_headers(block.encode()))
    assert len(context.written()) <= 4_000
    assert context.references[0].endswith("00@x>")
    assert context.references[-1] == own


def test_a_context_of_somebody_else_is_none() -> None:
    assert ReplyContext.read("") is None
    assert ReplyContext.read("{") is None
