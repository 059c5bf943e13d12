"""Hands one mail to an SMTP server, and says exactly how far it came."""

from __future__ import annotations

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPDataError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientRefused,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
)

from channels.email.mailbox import tls_context
from channels.email.settings import EmailSettings
from channels.mail.composing import Outgoing
from opencraw.errors import DeliveryFailure, MaybeSent, NeverSendable, NotSent

STEP_SECONDS = 30.0
#: After the last byte a server may look for viruses before it answers (RFC 5321: ten minutes). The
#: daemon does not wait so long.
ANSWER_SECONDS = 90.0
#: An operator must do something, so nobody hurries.
_REFUSED_SECONDS = 300.0


async def submit(settings: EmailSettings, mail: Outgoing) -> None:
    """Return once the server has taken the mail. Raises a `DeliveryFailure`."""
    security = settings.smtp_security
    client = SMTP(
        hostname=settings.smtp_host,
        port=settings.smtp_port,
        use_tls=security == "tls",
        # Never as it comes: whoever cuts the offer out of the answer would read the password.
        start_tls=security == "starttls",
        tls_context=tls_context(settings) if security != "none" else None,
        local_hostname=settings.address.rpartition("@")[2],
        timeout=STEP_SECONDS,
    )
    try:
        try:
            await _introduce(client, settings, mail)
        except (SMTPException, OSError, TimeoutError, ValueError) as error:
            raise _before_it_left(settings, error) from error
        try:
            await client.data(mail.data, timeout=ANSWER_SECONDS)
        except SMTPDataError as error:
            raise _refused(settings, error.code, error.message) from error
        except (SMTPException, OSError, TimeoutError) as error:
            raise MaybeSent(
                f"{settings.smtp_host} did not say whether it took the mail: {_words(error)}"
            ) from error
    finally:
        # It has the mail, or not: a goodbye changes nothing.
        client.close()


async def _introduce(client: SMTP, settings: EmailSettings, mail: Outgoing) -> None:
    """All that is said before the mail itself."""
    await client.connect()
    await client.ehlo()
    if client.supports_extension("auth") and settings.password is not None:
        user = settings.username or settings.address
        await client.login(user, settings.password.get_secret_value())
    size = len(mail.data)
    most = client.esmtp_extensions.get("size", "")
    if most.isdigit() and 0 < int(most) < size:
        raise SMTPSenderRefused(552, f"{size} bytes are more than {most}", settings.address)
    options = [f"SIZE={size}"] if client.supports_extension("size") else []
    if not mail.recipient.isascii():
        if not client.supports_extension("smtputf8"):
            raise SMTPRecipientRefused(553, "it does not know such addresses", mail.recipient)
        options += ["SMTPUTF8", "BODY=8BITMIME"]
    await client.mail(settings.address, options=options, encoding="utf-8")
    await client.rcpt(mail.recipient, encoding="utf-8")


def _before_it_left(settings: EmailSettings, error: Exception) -> DeliveryFailure:
    match error:
        case SMTPAuthenticationError() if error.code >= 500:
            return NotSent(
                f"{settings.smtp_host} refuses the name or the password of {settings.address} "
                f"({error.message}); set channels.email.password",
                retry_after=_REFUSED_SECONDS,
            )
        case SMTPNotSupported():
            return NotSent(
                f"{settings.smtp_host} does not offer what channels.email.smtp_security asks for: "
                f"{_words(error)}",
                retry_after=_REFUSED_SECONDS,
            )
        case SMTPRecipientsRefused():
            first = error.recipients[0]
            return _refused(settings, first.code, first.message)
        case SMTPSenderRefused() | SMTPRecipientRefused():
            return _refused(settings, error.code, error.message)
        case SMTPResponseException() if error.code < 500:
            return _refused(settings, error.code, error.message)
    return NotSent(f"{settings.smtp_host} cannot be reached: {_words(error)}")


def _refused(settings: EmailSettings, code: int, message: str) -> DeliveryFailure:
    """What a server's number means for the mail: 4xx later, 5xx never (RFC 5321, 4.2.1)."""
    said = f"{settings.smtp_host} said {code} {' '.join(message.split())[:300]}"
    if 400 <= code < 500:
        return NotSent(said, retry_after=settings.retry_seconds)
    if code >= 500:
        return NeverSendable(said)
    return MaybeSent(said)


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
