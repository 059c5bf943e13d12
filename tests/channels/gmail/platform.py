"""A mailbox at Gmail, as far as its fake goes."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Mapping
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, Self

from aiohttp import web

from tests.channels.platform import Fault, File, Platform
from tests.fakes.gmail import FAULT, REFRESH, GmailError, GmailServer, Stored
from tests.fixtures.core import until

AUTHSERV = "mx.google.com"
ADDRESS = "bot@gmail.test"


class GmailPlatform(Platform):
    """People write from example.org, for which Google vouches."""

    channel = "gmail"
    limit = 20_000
    patience = 4.0
    shapes = ("429", "403 rateLimitExceeded", "403 userRateLimitExceeded")

    def __init__(self) -> None:
        self.server = GmailServer(ADDRESS)
        self._numbers = itertools.count(1)
        self._said: dict[str, bytes] = {}
        self._order: list[bytes] = []
        self._roots: dict[str, str] = {}
        self._troubles: list[tuple[GmailError | None, str]] = []

    async def __aenter__(self) -> Self:
        await self.server.__aenter__()
        self.server.gate = self._gate
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.break_all()
        await self.server.__aexit__()
        assert self.server.problems == []

    def settings(self) -> Mapping[str, object]:
        return {
            "address": ADDRESS,
            "client_id": "client",
            "api_url": self.server.url,
            "token_url": f"{self.server.url}/token",
            "poll_interval_ms": 200,
            "request_seconds": 2.0,
        }

    @property
    def environ(self) -> Mapping[str, str]:
        return {
            "OPENCRAW_CHANNELS__GMAIL__CLIENT_SECRET": "secret",
            "OPENCRAW_CHANNELS__GMAIL__REFRESH_TOKEN": REFRESH,
        }

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
        """A mail as Google delivers it."""
        message = EmailMessage(policy=policy.SMTP)
        domain = sender.rpartition("@")[2]
        passed = f"spf=pass smtp.mailfrom={domain}; dmarc=pass header.from={domain}"
        message["Authentication-Results"] = f"{AUTHSERV}; {passed}"
        message["From"] = f"Somebody <{sender}>"
        message["To"] = ADDRESS
        message["Message-ID"] = key
        message["Subject"] = "A question"
        message.set_content(text)
        return message

    async def arrives(self, *mails: bytes) -> list[Stored]:
        """Mail comes in."""
        await self._is_looked_at()
        self._order += mails
        return [self.server.put(mail) for mail in mails]

    async def says_again(self, key: str, times: int = 1) -> None:
        # Google gives a mail one id, and says it in each history that reaches back so far.
        mail = next(each for each in self.server.mails if each.data == self._said[key])
        for _ in range(times):
            self.server.tell_again(mail)

    async def own_message(self, text: str, *, chat: str = "a") -> None:
        await self.arrives(self.mail(text, ADDRESS, "<own@gmail.test>").as_bytes())

    def shown(self, chat: str = "a") -> list[str]:
        recipient = self.person(chat)
        return [
            _plain(mail.message)
            for mail in self.server.mails
            if "SENT" in mail.labels and mail.message["To"] == recipient
        ]

    def fail_next(
        self,
        fault: Fault,
        *,
        chat: str = "",
        times: int = 1,
        retry_after: float = 0.5,
        shape: str = "",
    ) -> None:
        errors: dict[Fault, GmailError | None] = {
            Fault.SERVER_ERROR: GmailError(503, "backendError"),
            Fault.REFUSED: GmailError(400, "invalidArgument", "Invalid To header"),
            Fault.LOST_ANSWER: None,
        }
        if fault is Fault.RATE_LIMITED:
            status, _, reason = shape.partition(" ")
            error = GmailError(
                int(status or "429"), reason or "rateLimitExceeded", retry_after=str(retry_after)
            )
            errors[fault] = error
        recipient = self.person(chat) if chat else ""
        self._troubles += [(errors[fault], recipient)] * times

    async def wants_peace(self, seconds: float) -> None:
        error = GmailError(429, "rateLimitExceeded", retry_after=str(seconds))
        self.server.faults += [("gmail.users.history.list", error)] * 100

    def handed_out(self, key: str) -> float:
        mail = next(each for each in self.server.mails if each.data == self._said[key])
        return self.server.handed_out[mail.id]

    def downloads(self) -> int:
        return sum(call.endswith("attachments.get") for call in self.server.calls)

    async def _gate(self, request: web.Request) -> None:
        if not request.path.endswith("/messages/send") or not self._troubles:
            return
        raw = base64.urlsafe_b64decode((await request.json())["raw"])
        to = message_from_bytes(raw, policy=policy.default)["To"]
        for trouble in self._troubles:
            if trouble[1] in ("", str(to)):
                self._troubles.remove(trouble)
                request[FAULT] = trouble[0] or "lost"
                return

    async def _is_looked_at(self) -> None:
        """What was there before the channel's first look is nobody's business."""
        await until(lambda: "gmail.users.history.list" in self.server.calls)

    async def disconnect(self) -> None:
        await self._is_looked_at()
        self.server.broken = True
        self.server.break_all()

    async def reconnect(self) -> None:
        self.server.broken = self.server.revoked = self.server.silent = False
        self.server.stir.set()

    async def rewind(self) -> None:
        # History that is too old to be told: all mails are looked at again.
        self.server.forget()

    async def malformed(self) -> None:
        await self.arrives(b"X-Bomb: y\r\n" * 3_000 + b"\r\n")

    async def revoke(self) -> None:
        await self._is_looked_at()
        self.server.revoked = True
        self.server.break_all()

    async def silent(self) -> None:
        await self._is_looked_at()
        self.server.silent = True


def _plain(message: Any) -> str:
    text: str = message.get_body(("plain",)).get_content()
    return text


PLATFORM = GmailPlatform
