from __future__ import annotations

import pytest

from tests.channels.mail.mails import offered, turned_away, written


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"auto_submitted": "auto-replied"}, "automatic reply"),
        ({"auto_submitted": "auto-generated (rejected)"}, "auto-generated"),
        ({"auto_submitted": "auto-notified; owner-email=x@y.test"}, "auto-notified"),
        ({"list_id": "<dev.example.org>"}, "list-id"),
        ({"precedence": "Bulk"}, "precedence"),
        ({"x_auto_response_suppress": "DR, OOF, AutoReply"}, "no automatic answer"),
        ({"return_path": "<>"}, "delivery report"),
        ({"x_autoreply": "yes"}, "automatic reply"),
    ],
)
def test_automatic_mail_is_not_answered(headers: dict[str, str], why: str) -> None:
    assert why in turned_away(written(**headers))


@pytest.mark.parametrize(
    ("sender", "why"),
    [
        ("Mail Delivery System <MAILER-DAEMON@example.org>", "mail server"),
        ("no-reply@example.org", "nobody reads"),
        ("noreply+77@example.org", "nobody reads"),
        ("Bot@LAB.test", "our own address"),
    ],
)
def test_nor_is_mail_that_nobody_wrote(sender: str, why: str) -> None:
    assert why in turned_away(written(sender=sender))


def test_a_delivery_report_is_known_by_its_type() -> None:
    report = b"From: x@example.org\r\nContent-Type: multipart/report; report-type=delivery-status"
    assert "delivery report" in turned_away(report + b"\r\n\r\n")


def test_a_program_that_is_listed_is_offered_as_a_machine() -> None:
    heading = offered(written(sender="alerts@example.org", auto_submitted="auto-generated"))
    assert heading.machine


def test_but_not_its_automatic_replies() -> None:
    answer = written(sender="alerts@example.org", auto_submitted="auto-replied")
    assert "automatic reply" in turned_away(answer)


@pytest.mark.parametrize("submitted", ["no", "NO", ""])
def test_mail_that_says_that_it_is_not_automatic_is_offered(submitted: str) -> None:
    assert not offered(written(auto_submitted=submitted)).machine
