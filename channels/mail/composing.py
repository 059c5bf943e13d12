"""The mail that brings one delivery."""

from __future__ import annotations

from dataclasses import dataclass
from email.headerregistry import Address as Mailbox
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime

from channels.mail.addresses import Person, normalised
from channels.mail.headers import one_line
from channels.mail.threads import ReplyContext, answered_subject, own_message_id
from channels.markdown import html, plain
from channels.marks import marked
from opencraw.contract import Delivery
from opencraw.errors import NeverSendable

#: A subject ends in most lists of mails somewhere behind this.
_LONGEST_SUBJECT = 120
# An id stays on the line of its name: not every program looks for it on the next.
_ASCII = SMTP.clone(max_line_length=300)
_BEYOND = SMTPUTF8.clone(max_line_length=300)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A mail as it goes out."""

    message_id: str
    recipient: str
    data: bytes


def compose(delivery: Delivery, sender: Person) -> Outgoing:
    """Write one delivery down as a mail from `sender`. The same delivery gives the same mail, but
    for the mark of a second copy. Raises `NeverSendable` for an address that is none."""
    address = delivery.address
    context = ReplyContext.read(delivery.reply_context)
    text = delivery.line.text
    if delivery.recovered:
        text = marked(text)
    recipient = normalised(address.chat)
    if recipient is None:
        raise NeverSendable(f"{address.chat!r} is no address that mail can go to")
    message = EmailMessage(policy=_ASCII if recipient.isascii() else _BEYOND)
    message_id = own_message_id(delivery.delivery_id, address.thread, sender.domain)
    message["From"] = _mailbox(Person(sender.id, one_line(sender.name, 100)))
    message["To"] = _mailbox(Person(recipient))
    message["Date"] = format_datetime(delivery.line.at)
    message["Message-ID"] = message_id
    if context is not None:
        message["Subject"] = answered_subject(context.subject)
        if context.message_id:
            message["In-Reply-To"] = context.message_id
        if context.references:
            message["References"] = " ".join(context.references)
    else:
        message["Subject"] = _subject_of(delivery.line.text)
    # Programs that answer by themselves know by this that nobody wrote it (RFC 3834).
    message["Auto-Submitted"] = "auto-replied" if context is not None else "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    message.set_content(plain(text), cte="quoted-printable")
    message.add_alternative(html(text), subtype="html", cte="quoted-printable")
    # A boundary by chance would make every copy another mail.
    message.set_boundary(f"=_oc_{delivery.delivery_id.hex}")
    return Outgoing(message_id, recipient, message.as_bytes())


def _mailbox(person: Person) -> Mailbox:
    return Mailbox(person.name, username=person.local, domain=person.domain)


def _subject_of(text: str) -> str:
    """What a mail is about that answers none: how it begins."""
    first = next((line for line in plain(text).splitlines() if line.strip()), "")
    words = one_line(first, 2 * _LONGEST_SUBJECT)
    if len(words) <= _LONGEST_SUBJECT:
        return words or "A message from your assistant"
    return words[:_LONGEST_SUBJECT].rsplit(" ", 1)[0] + " …"
