"""A mailbox on a real Dovecot behind a line that can break, and an SMTP server with bad days."""

from __future__ import annotations

import asyncio
import email
import itertools
import re
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from typing import Self

from aiosmtpd.smtp import Envelope

from tests.channels.platform import Fault, File, Platform
from tests.fakes.dovecot import PASSWORD, Dovecot
from tests.fakes.line import Line
from tests.fakes.smtp_sink import SmtpSink

AUTHSERV = "mx.lab.test"
_ANSWERS = {
    Fault.RATE_LIMITED: "451 4.7.1 Greylisted, come back later",
    Fault.SERVER_ERROR: "421 4.3.0 Not today",
    Fault.REFUSED: "554 5.7.1 Never",
    Fault.LOST_ANSWER: "lost",
}


@dataclass
class _Trouble:
    fault: Fault
    recipient: str


class EmailPlatform(Platform):
    """People write from example.org, which our server vouches for."""

    channel = "email"
    limit = 20_000
    patience = 2.5

    def __init__(self) -> None:
        self.dovecot = Dovecot()
        #: What the channel says when it has looked.
        self.word = b" IDLE"
        self.sink = SmtpSink()
        self.troubles: list[_Trouble] = []
        self._numbers = itertools.count(1)
        self._said: dict[str, bytes] = {}
        self._order: list[bytes] = []
        self._roots: dict[str, str] = {}
        self._arrived_at = 0.0
        self._opened = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._opened.enter_async_context(self.dovecot)
        self.address = self.dovecot.add("bot")
        self.line = await self._opened.enter_async_context(Line(self.dovecot.imap))
        self.line.watched_for = self.word
        self.line.listened_for = b" EXISTS"
        await self._opened.enter_async_context(self.sink)
        self.sink.answer = self._answer
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._opened.aclose()

    def settings(self) -> Mapping[str, object]:
        return {
            "address": self.address,
            "authserv_id": AUTHSERV,
            "imap_host": "127.0.0.1",
            "imap_port": self.line.port,
            "imap_security": "none",
            "smtp_host": "127.0.0.1",
            "smtp_port": self.sink.port,
            "smtp_security": "none",
            "idle_seconds": 1,
            "retry_seconds": 1,
        }

    @property
    def environ(self) -> Mapping[str, str]:
        return {"OPENCRAW_CHANNELS__EMAIL__PASSWORD": PASSWORD}

    def person(self, name: str) -> str:
        return name if "@" in name else f"{name}@example.org"

    async def says(
        self,
        text: str,
        *,
        chat: str = "a",
        sender: str = "",
        mention: bool = True,
        file: File | None = None,
    ) -> str:
        key = f"<{next(self._numbers)}@example.org>"
        message = self.mail(text, self.person(sender or chat), key)
        if root := self._roots.get(chat):
            message["In-Reply-To"] = message["References"] = root
        self._roots.setdefault(chat, key)
        if file is not None:
            kind, _, subtype = file.content_type.partition("/")
            message.add_attachment(file.data, maintype=kind, subtype=subtype, filename=file.name)
        self._said[key] = message.as_bytes()
        await self.arrives(self._said[key])
        return key

    def mail(self, text: str, sender: str, key: str) -> EmailMessage:
        """A mail as our server delivers it, which looked at where it came from."""
        message = EmailMessage(policy=policy.SMTP)
        domain = sender.rpartition("@")[2]
        passed = f"spf=pass smtp.mailfrom={domain}; dmarc=pass header.from={domain}"
        message["Authentication-Results"] = f"{AUTHSERV}; {passed}"
        message["From"] = f"Somebody <{sender}>"
        message["To"] = self.address
        message["Message-ID"] = key
        message["Subject"] = "A question"
        message.set_content(text)
        return message

    async def arrives(self, *mails: bytes) -> None:
        """Mail is put into the inbox."""
        await self._is_looked_at()
        self._order += mails
        self._arrived_at = time.monotonic()
        await self.arrives_unseen(*mails)

    async def arrives_unseen(self, *mails: bytes) -> None:
        """Mail is put into the inbox, whether anybody has looked or not."""
        await asyncio.to_thread(self.dovecot.put, self.address, *mails)

    async def says_again(self, key: str, times: int = 1) -> None:
        await self.arrives(*[self._said[key]] * times)

    async def own_message(self, text: str, *, chat: str = "a") -> None:
        await self.arrives(self.mail(text, self.address, "<own@lab.test>").as_bytes())

    def shown(self, chat: str = "a") -> list[str]:
        recipient = self.person(chat)
        return [plain_text(each) for each in self.sink.taken if each.rcpt_tos == [recipient]]

    def fail_next(
        self,
        fault: Fault,
        *,
        chat: str = "",
        times: int = 1,
        retry_after: float = 0.5,
        shape: str = "",
    ) -> None:
        recipient = self.person(chat) if chat else ""
        self.troubles += [_Trouble(fault, recipient) for _ in range(times)]

    def handed_out(self, key: str) -> float:
        # The server says that there is more than there was.
        return next(at for at in self.line.told_at if at > self._arrived_at)

    def downloads(self) -> int:
        return len(re.findall(rb"BODY\.PEEK\[\d", self.line.asked))

    def _answer(self, envelope: Envelope) -> str | None:
        for trouble in self.troubles:
            if trouble.recipient in ("", *envelope.rcpt_tos):
                self.troubles.remove(trouble)
                return _ANSWERS[trouble.fault]
        return None

    async def _is_looked_at(self) -> None:
        """What was there before the channel's first look is nobody's business."""
        await asyncio.wait_for(self.line.passed.wait(), 15)

    async def disconnect(self) -> None:
        await self._is_looked_at()
        self.line.cut = self.sink.broken = True
        self.line.break_all()
        self.sink.break_all()

    async def reconnect(self) -> None:
        self.dovecot.add("bot")
        self.line.cut = self.line.dead = self.sink.broken = False

    async def rewind(self) -> None:
        await self.arrives(*list(self._order))

    async def malformed(self) -> None:
        await self.arrives(b"X-Bomb: y\r\n" * 100_000 + b"\r\n")

    async def revoke(self) -> None:
        await self._is_looked_at()
        self.dovecot.add("bot", "another password")
        self.line.break_all()

    async def silent(self) -> None:
        await self._is_looked_at()
        self.line.dead = True


def plain_text(envelope: Envelope) -> str:
    """What a person reads who reads plain text."""
    assert isinstance(envelope.content, bytes)
    message = email.message_from_bytes(envelope.content, policy=policy.default)
    assert isinstance(message, EmailMessage)
    body = message.get_body(("plain",))
    assert body is not None
    text: str = body.get_content()
    return text


PLATFORM = EmailPlatform
