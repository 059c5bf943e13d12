"""A mailbox as operators have one: Postfix before it, TLS on every line."""

from __future__ import annotations

import asyncio
import smtplib
from collections.abc import Mapping
from email.message import EmailMessage
from typing import Self

from tests.channels.email.platform import EmailPlatform
from tests.fakes.postfix import AUTHSERV, Postfix

ALICE = "a@example.org"


class PostOffice(EmailPlatform):
    """People have mailboxes on the same server, and write over SMTP."""

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self.dovecot.add_address(ALICE)
        self.postfix = await self._opened.enter_async_context(Postfix(self.dovecot))
        return self

    def settings(self) -> Mapping[str, object]:
        return {
            **super().settings(),
            "authserv_id": AUTHSERV,
            "imap_host": "localhost",
            "imap_port": self.dovecot.imaps,
            "imap_security": "tls",
            "smtp_host": "localhost",
            "smtp_port": self.postfix.submission,
            "smtp_security": "starttls",
            "sent_folder": "Sent",
            "ca_file": self.dovecot.ca_file,
        }

    async def posts(self, message: EmailMessage, sender: str = ALICE) -> None:
        """Somebody hands a mail to the server that everybody can reach."""
        await asyncio.to_thread(self._post, message.as_bytes(), sender)

    def _post(self, data: bytes, sender: str) -> None:
        with smtplib.SMTP("127.0.0.1", self.postfix.smtp) as line:
            line.sendmail(sender, [self.address], data)

    async def mails(self, owner: str = ALICE, folder: str = "INBOX") -> list[bytes]:
        """What is in somebody's mailbox."""
        return await asyncio.to_thread(self.dovecot.mails, owner, folder)
