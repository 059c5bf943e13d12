"""Mail that was made to hurt: refused with a reason or read in part, and never for long."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import pytest

from channels.mail.headers import Unreadable
from channels.mail.html import text_of_html
from channels.mail.quoting import own_words
from channels.mail.reading import read
from tests.channels.mail.mails import judged

#: Each takes a few hundredths of a second; what is quadratic takes minutes.
SECONDS = 3.0
MEGABYTES = 20_000_000


def nested(depth: int) -> bytes:
    return b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (level, level)
        for level in range(depth)
    )


MIXED = b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
HTML = b"Content-Type: text/html\r\n\r\n"

REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "100,000 headers": (lambda: judged(b"X: y\r\n" * 100_000 + b"\r\n"), "headers"),
    "3,000 headers": (lambda: judged(b"X: y\r\n" * 3_000 + b"\r\n"), "lines of headers"),
    "20 MB without a blank line": (lambda: read(b"A" * MEGABYTES), "headers"),
    "1,000 nested parts": (lambda: read(nested(1_000)), "deep"),
    "a million parts": (lambda: read(MIXED + b"--b\r\n\r\n" * 1_000_000), "parts"),
    "borders everywhere": (lambda: read(MIXED + b"x--b\r\n" * 1_000_000), "everywhere"),
}

_TAGS = (
    b"<b>", b"<div>", b"<!--", b"<table>", b"<", b"<blockquote>x", b"<ul><li>", b"<a href=x>",
    b'<p a="', b"<svg><p>", b"<p><font><nobr>", b"<div></span>", b"&amp",
)  # fmt: skip


def _html_of(tag: bytes) -> object:
    return read(HTML + tag * (1_000_000 // len(tag)))


READ: dict[str, Callable[[], object]] = {
    "20 MB of base64 lines": lambda: read(
        b"Content-Transfer-Encoding: base64\r\n\r\n" + (b"QUFB" * 19 + b"\r\n") * 256_000
    ),
    "one line of 20 MB": lambda: read(
        b"Content-Transfer-Encoding: base64\r\n\r\n" + b"QUFB" * (MEGABYTES // 4)
    ),
    "20 MB of line ends": lambda: read(b"A: b\r\n\r\n" + b"\n" * MEGABYTES),
    "soft line breaks": lambda: read(
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + b"=\r\n" * 6_000_000
    ),
    "parameters in pieces": lambda: read(
        b"Content-Type: text/plain" + b"".join(b"; a*%d*=b" % i for i in range(180)) + b"\r\n\r\n"
    ),
    "comments in comments": lambda: judged(b"From: " + b"(" * 1_900 + b"\r\n\r\n"),
    "a crowd of senders": lambda: judged(b"From: " + b"a@b.c," * 300 + b"\r\n\r\n"),
    "encoded words": lambda: judged(
        b"From: a@b.c\r\nSubject: " + b"=?utf-8?q?a?= " * 1_000 + b"\r\n\r\n"
    ),
    "half of encoded words": lambda: judged(
        b"From: a@b.c\r\nSubject: " + b"=?" * 8_000 + b"\r\n\r\n"
    ),
    "references without end": lambda: judged(
        b"From: a@b.c\r\nReferences: " + b"<" * 16_000 + b"\r\n\r\n"
    ),
    "results without sense": lambda: judged(
        b"From: a@b.c\r\nAuthentication-Results: mx.lab.test; spf=pass "
        + b"a" * 7_900
        + b"\r\n\r\n"
    ),
    **{f"HTML of {tag.decode()}": partial(_html_of, tag) for tag in _TAGS},
    "deep HTML": lambda: text_of_html("<div>" * 299 + "x<p>" * 100_000),
    "quotes only": lambda: own_words("> x\n" * 30_000),
    "headers only": lambda: own_words("From: x\n" * 12_000),
    "colons only": lambda: own_words("a:" * 50_000),
    "lines only": lambda: own_words("_" * 100_000),
    "blanks": lambda: own_words("on 2\n" + " " * 100_000 + ":\n> y"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_mail_is_refused_with_a_reason(name: str) -> None:
    attempt, reason = REFUSED[name]
    began = time.process_time()
    with pytest.raises(Unreadable, match=reason):
        attempt()
    assert time.process_time() - began < SECONDS


@pytest.mark.parametrize("name", READ)
def test_what_may_be_mail_is_read_in_a_moment(name: str) -> None:
    began = time.process_time()
    READ[name]()
    assert time.process_time() - began < SECONDS
