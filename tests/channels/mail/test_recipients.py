from __future__ import annotations

import pytest

from tests.channels.mail.mails import AUTHSERV, offered, turned_away, written

BY_SIGNATURE = f"{AUTHSERV}; dmarc=pass header.from=example.org; spf=fail smtp.mailfrom=evil.test"
SIGNATURE = "v=1; a=rsa-sha256; d=example.org; s=one; h=from:to:date:message-id; bh=aa=; b=bb="


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"to": "Bot <BOT@lab.test>, bob@example.org"},
        {"to": "bob@example.org", "cc": "The assistant <bot@lab.test>"},
        {"to": "friends: bob@example.org, bot@lab.test;"},
        {"to": "hello@lab.test"},
    ],
)
def test_a_mail_is_heard_that_its_writer_sent_to_us(headers: dict[str, str]) -> None:
    assert offered(written(**headers)).sender.id == "alice@example.org"


@pytest.mark.parametrize(
    "headers",
    [
        {"to": "bob@example.org"},
        {"to": "undisclosed-recipients:;"},
        {"to": "bot@lab.test.evil.test"},
        {"to": '"bot@lab.test" <bob@example.org>'},
        {"to": "bob@example.org", "delivered_to": "bot@lab.test"},
        {"to": "bob@example.org", "x_original_to": "bot@lab.test"},
        {"to": "bob@example.org", "resent_to": "bot@lab.test"},
        {"to": "bob@example.org", "bcc": "bot@lab.test"},
        {"to": "a@example.org, " * 200 + "bot@lab.test"},
    ],
)
def test_a_mail_that_was_written_to_others_is_not(headers: dict[str, str]) -> None:
    assert "is in neither To nor Cc" in turned_away(written(**headers))


def test_of_two_lines_nobody_can_tell_which_one_the_writer_wrote() -> None:
    mail = b"To: bot@lab.test\r\n" + written(to="bob@example.org").as_bytes()
    assert "is in neither To nor Cc" in turned_away(mail)


@pytest.mark.parametrize(
    "signature",
    [
        SIGNATURE,
        "v=1; d=example.org; b=; h=Message-ID : Date:  From:To : Cc",
        "v=1; d=example.org; h=from:from:to:to:date:message-id:subject",
    ],
)
def test_a_mail_that_came_over_others_is_heard_if_its_writer_signed_to_whom(signature: str) -> None:
    mail = written(results=BY_SIGNATURE, dkim_signature=signature)
    assert offered(mail).sender.id == "alice@example.org"


@pytest.mark.parametrize(
    "signature",
    [
        "",
        SIGNATURE.replace(":to", ""),
        # What can be changed would make a mail a new one each time.
        SIGNATURE.replace(":date", ""),
        SIGNATURE.replace(":message-id", ""),
        # Anything may have been added at its end.
        SIGNATURE + "; l=17",
        # Which one counts?
        SIGNATURE.replace(":to", "") + "; h=from:to:date:message-id",
        "h",
    ],
)
def test_whoever_once_got_a_mail_cannot_hand_it_on_to_us(signature: str) -> None:
    mail = written(results=BY_SIGNATURE, dkim_signature=signature)
    assert "may have been handed on" in turned_away(mail)


def test_a_mail_that_came_over_others_without_a_signature_is_not_heard() -> None:
    assert "may have been handed on" in turned_away(written(results=BY_SIGNATURE))


def test_one_more_signature_does_not_cover_what_the_true_one_does_not() -> None:
    mail = written(results=BY_SIGNATURE, dkim_signature=SIGNATURE.replace(":to", ""))
    forged = f"DKIM-Signature: {SIGNATURE}\r\n".encode() + mail.as_bytes()
    assert "may have been handed on" in turned_away(forged)


def test_a_line_that_was_added_is_not_what_the_writer_signed() -> None:
    mail = written(results=BY_SIGNATURE, dkim_signature=SIGNATURE, to="bob@example.org")
    added = b"Cc: bot@lab.test\r\n" + mail.as_bytes()
    assert "may have been handed on" in turned_away(added)
