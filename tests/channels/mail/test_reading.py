from __future__ import annotations

from email.message import EmailMessage

import pytest

from channels.mail.reading import LONGEST_TEXT, file_bytes, read
from tests.channels.mail.mails import written


def text_of(message: EmailMessage | bytes) -> str:
    return read(message if isinstance(message, bytes) else message.as_bytes()).text


def test_a_new_mail_says_what_it_is_about() -> None:
    assert text_of(written("Hello", subject="Grüße")) == "Subject: Grüße\n\nHello"


def test_an_answer_says_only_what_is_new() -> None:
    answer = written(
        "Yes.\n\nOn 21 Nov 2026 Bot wrote:\n> Really?", subject="Re: x", in_reply_to="<a@b>"
    )
    assert text_of(answer) == "Yes."


def test_what_is_forwarded_is_what_the_mail_is_about() -> None:
    copy = "Look:\n\n-----Original Message-----\nFrom: C\nSent: now\nTo: A\nSubject: s\n\nTheirs"
    assert "Theirs" in text_of(written(copy, subject="Fwd: s", in_reply_to="<a@b>"))


def test_a_command_is_a_command_under_any_subject() -> None:
    assert text_of(written("/new", subject="please")) == "/new"


def test_a_command_is_its_first_line_and_new_goes_on() -> None:
    assert text_of(written("/pair\n\nBest regards\nMe", subject="x")) == "/pair"
    assert text_of(written("/memory correct \nthis\nMe", subject="x")) == "/memory correct this"
    assert text_of(written("/new Tell me\n\nall of it", subject="x")) == "/new Tell me\n\nall of it"
    assert text_of(written("/usr/bin\nis gone", subject="")) == "/usr/bin\nis gone"


def test_a_mail_that_says_all_in_its_subject_says_that() -> None:
    assert text_of(written("", subject="Call me")) == "Subject: Call me"
    assert text_of(written("", subject="")) == ""


def test_of_two_versions_the_plain_one_is_read() -> None:
    assert text_of(written("plain", html="<p>rich</p>")) == "plain"


def test_html_is_read_where_the_plain_version_is_empty() -> None:
    assert text_of(written("", html="<p>rich &amp; <b>bold</b></p>")) == "rich & bold"


def test_mail_in_html_alone_is_read() -> None:
    only = (
        b"From: a@b.c\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
        b"<html><head><style>p{}</style><script>evil()</script></head><body><p>One</p><p>Two"
        b'<br>three <a href="https://x.test/y">here</a></p><ul><li>a<li>b</ul>'
        b"<blockquote>old<blockquote>older</blockquote></blockquote></body></html>"
    )
    assert text_of(only) == (
        "One\n\nTwo\nthree here <https://x.test/y>\n\n- a\n- b\n\n> old\n>\n>> older"
    )


@pytest.mark.parametrize(
    ("charset", "data", "text"),
    [
        (b"iso-8859-1", "Grüße".encode("latin-1"), "Grüße"),
        (b"windows-1252", "“so”".encode("cp1252"), "“so”"),
        (b"gb2312", "你好".encode("gb2312"), "你好"),
        # They say one thing and are another.
        (b"utf-8", "Grüße".encode("latin-1"), "Grüße"),
        (b"us-ascii", "Grüße".encode(), "Grüße"),
        (b"no-such-charset", "Grüße".encode(), "Grüße"),
        (b"zip", b"plain", "plain"),
        (b"punycode", b"plain-", "plain-"),
        (b'"', b"plain", "plain"),
        (b"utf-8", b"a\x00b\x1bc", "abc"),
    ],
)
def test_a_wrong_charset_spoils_nothing_more_than_it_must(
    charset: bytes, data: bytes, text: str
) -> None:
    head = b"Content-Type: text/plain; charset=" + charset + b"\r\n"
    assert text_of(head + b"Content-Transfer-Encoding: 8bit\r\n\r\n" + data) == text


@pytest.mark.parametrize(
    ("encoded", "text"),
    [(b"SGVsbG8=", "Hello"), (b"SGVs\r\nbG8", "Hello"), (b"SGVsbG8!!=\r\n--", "Hello"), (b"S", "")],
)
def test_broken_base64_is_read_as_far_as_it_goes(encoded: bytes, text: str) -> None:
    assert text_of(b"Content-Transfer-Encoding: base64\r\n\r\n" + encoded) == text


def test_files_are_described_and_found_again() -> None:
    message = written("See this", html="<p>See this</p>")
    message.add_attachment(b"\x89PNG" * 100, maintype="image", subtype="png", filename="a/../ü.png")
    message.add_attachment("col\n1", subtype="csv", filename="t.csv")
    data = message.as_bytes()
    picture, table = read(data).files
    assert (picture.number, picture.name, picture.content_type) == ("2", "ü.png", "image/png")
    assert (table.name, table.content_type) == ("t.csv", "text/csv")
    assert abs(picture.size - 400) < 20
    assert file_bytes(data, picture.number) == b"\x89PNG" * 100
    assert file_bytes(data, "7") is None


def test_a_calendar_and_a_mail_within_a_mail_are_files() -> None:
    inner = written("Inner text")
    message = written("Outer text")
    message.add_attachment(inner)
    message.add_attachment("BEGIN:VCALENDAR", subtype="calendar")
    reading = read(message.as_bytes())
    assert reading.text == "Outer text"
    assert [each.content_type for each in reading.files] == ["message/rfc822", "text/calendar"]


def test_a_text_that_is_a_book_is_cut() -> None:
    text = text_of(written("word " * 60_000))
    assert len(text) < LONGEST_TEXT + 100
    assert "as much of it as is read" in text


def test_a_multipart_without_borders_is_read_as_it_is() -> None:
    assert text_of(b"Content-Type: multipart/mixed; boundary=x\r\n\r\nJust text") == "Just text"
    assert text_of(b"Content-Type: multipart/mixed\r\n\r\nJust text") == "Just text"


def test_a_mail_that_was_cut_is_read_to_where_it_ends() -> None:
    data = written("plain", html="<p>rich</p>").as_bytes()
    assert text_of(data[: data.rindex(b"plain") + 5]) == "plain"


@pytest.mark.parametrize("sign", ["-- ", "--"])
def test_a_command_ends_where_a_signature_begins(sign: str) -> None:
    mail = written(f"/pair approve YMTHX3GD\n\n{sign}\nAlice\nTel 1", subject="Let him in")
    assert read(mail.as_bytes()).text == "/pair approve YMTHX3GD"


def test_no_mail_keeps_its_signature_but_one_that_is_forwarded() -> None:
    signed = "Look:\n-- \nAlice\n\n---------- Forwarded message ---------\nTheirs"
    assert text_of(written("Hello\n\n-- \nAlice\nTel 1", subject="")) == "Hello"
    assert text_of(written("Yes\n\n-- \nAlice", subject="", in_reply_to="<a@b>")) == "Yes"
    assert text_of(written(signed, subject="Fwd: s")).endswith("Theirs")
