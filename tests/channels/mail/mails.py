"""Mails for tests, written by the standard library as people's programs write them."""

from __future__ import annotations

from email.message import EmailMessage
from email.policy import SMTP

from channels.mail.heading import Heading, Rules, TurnedAway, look_at

AUTHSERV = "mx.lab.test"
RULES = Rules(
    "bot@lab.test", AUTHSERV, frozenset({"alerts@example.org"}), frozenset({"hello@lab.test"})
)
PASSED = f"{AUTHSERV}; spf=pass smtp.mailfrom=example.org; dmarc=pass header.from=example.org"


def written(
    text: str = "Hello",
    sender: str = "Alice <alice@example.org>",
    *,
    html: str | None = None,
    results: str | None = PASSED,
    **headers: str,
) -> EmailMessage:
    """A mail to us. Headers are named as in Python: `in_reply_to`."""
    message = EmailMessage(policy=SMTP)
    if results is not None:
        message["Authentication-Results"] = results
    message["From"] = sender
    message["To"] = "bot@lab.test"
    message["Message-ID"] = "<one@example.org>"
    message["Date"] = "Sat, 21 Nov 2026 10:00:00 +0000"
    for name, value in headers.items():
        del message[name.replace("_", "-")]
        message[name.replace("_", "-")] = value
    message.set_content(text)
    if html is not None:
        message.add_alternative(html, subtype="html")
    return message


def judged(message: EmailMessage | bytes) -> Heading | TurnedAway:
    return look_at(message if isinstance(message, bytes) else message.as_bytes(), RULES)


def offered(message: EmailMessage | bytes) -> Heading:
    found = judged(message)
    assert isinstance(found, Heading), found
    return found


def turned_away(message: EmailMessage | bytes) -> str:
    found = judged(message)
    assert isinstance(found, TurnedAway), found
    return f"{found.ground}: {found.reason}"
