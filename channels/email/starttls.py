"""A line that becomes secret after its first words (RFC 3501, 6.2.1), which the library has not.

Whoever sits on the line may say anything until then. So nothing that was said before counts but
that the server is ready to begin, and nothing that was slipped in behind that is ever read.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import TypeVar

from opencraw.errors import AccountRefused, Unavailable

P = TypeVar("P", bound=asyncio.Protocol)

_LONGEST_ANSWER = 16 * 1024
#: What the server is taken to have said first, on the secret line.
_GREETING = b"* OK\r\n"


async def connect(
    protocol: Callable[[], P], host: str, port: int, context: ssl.SSLContext
) -> tuple[asyncio.Transport, P]:
    """As `create_connection`, but over STARTTLS: what `protocol` hears begins with a greeting.
    Raises `AccountRefused` for a server that does not offer it: nothing is said to it then."""
    loop = asyncio.get_running_loop()
    transport, first = await loop.create_connection(_FirstWords, host, port)
    try:
        if not (await first.line()).startswith(b"* OK"):
            raise Unavailable(f"{host} does not greet us as somebody who has to log in")
        transport.write(b"O1 STARTTLS\r\n")
        while not (answer := await first.line()).startswith(b"O1 "):
            pass
        if not answer.startswith(b"O1 OK"):
            raise AccountRefused(
                f"{host} does not offer STARTTLS at port {port}. "
                'Set channels.email.imap_security = "tls" and imap_port = 993.'
            )
        if first.heard:
            raise Unavailable(f"somebody speaks in the name of {host} before the line is secret")
        secret = await loop.start_tls(transport, first, context, server_hostname=host)
        assert secret is not None
    except BaseException:
        transport.abort()
        raise
    heir = protocol()
    secret.set_protocol(heir)
    heir.connection_made(secret)
    heir.data_received(_GREETING + first.heard)
    return secret, heir


class _FirstWords(asyncio.Protocol):
    """Hears lines, as many as there is room for."""

    def __init__(self) -> None:
        #: What came and was not asked for yet.
        self.heard = bytearray()
        self._room = _LONGEST_ANSWER
        self._stir = asyncio.Event()
        self._is_over = False

    def data_received(self, data: bytes) -> None:
        self.heard += data
        self._room -= len(data)
        self._stir.set()

    def connection_lost(self, _error: Exception | None) -> None:
        self._is_over = True
        self._stir.set()

    async def line(self) -> bytes:
        """The next one. Raises `Unavailable` where none comes."""
        while b"\n" not in self.heard:
            if self._is_over or self._room < 0:
                raise Unavailable("the IMAP server closed the connection, or makes no sense")
            self._stir.clear()
            await self._stir.wait()
        line, _, rest = bytes(self.heard).partition(b"\n")
        self.heard[:] = rest
        return line
