"""An SMTP server that keeps what it takes, and has bad days (aiosmtpd)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, Self, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session


class SmtpSink:
    """Use as `async with`. `answer` decides what becomes of a mail: None takes it, a text is the
    answer to it, and `lost` takes it and breaks the connection."""

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        most: int = 26_214_400,
        password: str | None = None,
    ) -> None:
        self.taken: list[Envelope] = []
        self.answer: Callable[[Envelope], str | None] = lambda _: None
        #: What is said to a command, by its name, instead of what would be.
        self.says: dict[str, str] = {}
        self.broken = False
        self._tls = tls
        self._most = most
        self._password = password
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.WriteTransport] = set()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._protocol, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self.break_all()
        self._server.close()

    def _protocol(self) -> SMTP:
        return SMTP(
            self,
            data_size_limit=self._most,
            enable_SMTPUTF8=True,
            tls_context=self._tls,
            require_starttls=self._tls is not None,
            # The library warns of it where there is no TLS, and here warnings are errors.
            auth_required=self._password is not None and self._tls is not None,
            auth_require_tls=self._tls is not None,
            authenticator=self._authenticate,
            loop=asyncio.get_running_loop(),
        )

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def break_all(self) -> None:
        """Break every connection."""
        for transport in self._open:
            transport.abort()
        self._open.clear()

    def _authenticate(self, *arguments: Any) -> AuthResult:
        right = self._password in (None, arguments[-1].password.decode())
        # Without `handled` the client would wait for ever for a refusal.
        return AuthResult(success=right, handled=False)

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, _envelope: Envelope, hostname: str, lines: list[str]
    ) -> list[str]:
        # Those of uvloop are transports without saying so.
        transport = cast(asyncio.WriteTransport, server.transport)
        if self.broken:
            transport.abort()
        self._open.add(transport)
        session.host_name = hostname
        return lines

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if "MAIL" not in self.says:
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return self.says.get("MAIL", "250 OK")

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self,
        _server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        if "RCPT" not in self.says:
            envelope.rcpt_tos.append(address)
        return self.says.get("RCPT", "250 OK")

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        answer = self.answer(envelope)
        if answer is None or answer == "lost":
            self.taken.append(envelope)
        if answer == "lost":
            cast(asyncio.WriteTransport, server.transport).abort()
        return answer if answer is not None and answer != "lost" else "250 Taken"
