"""One folder of an IMAP server, over a connection that tells when it is lost.

The library keeps a command waiting for ever when its connection breaks, and knows no limits; both
are added here, and nothing else in the channel knows the library.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from aioimaplib import IMAP4, AioImapException, IMAP4ClientProtocol, Response, quoted

from channels.email.settings import EmailSettings
from channels.email.starttls import connect
from channels.mail.headers import LONGEST_BLOCK
from channels.mail.tries import NotHandedOut
from opencraw.errors import AccountRefused, Unavailable

T = TypeVar("T")

CONNECT_SECONDS = 20.0
#: A server that has been silent for so long in the middle of an answer is gone.
ANSWER_SECONDS = 30.0
#: Of a whole mail, on the slowest line that is of use.
WHOLE_SECONDS = 600.0
_GOODBYE_SECONDS = 2.0
_CODE = re.compile(r"\[([A-Z]+)")
#: These pass; whatever else a login is refused for, somebody must change something.
_PASSES = frozenset({"UNAVAILABLE", "INUSE", "LIMIT", "THROTTLED", "SERVERBUG"})
#: A server's own bug may be one mail, and then it stays.
_BUSY = _PASSES - {"SERVERBUG"}


@dataclass(frozen=True, slots=True)
class Top:
    """What is fetched of every mail."""

    headers: bytes
    size: int
    arrived: datetime | None


class _Line(IMAP4ClientProtocol):  # type: ignore[misc]  # has no types
    """The library's protocol, with ears."""

    def __init__(self, heard: Callable[[], None], lost: Callable[[Exception | None], None]) -> None:
        super().__init__(asyncio.get_running_loop(), lost)
        self._heard = heard

    def data_received(self, data: bytes) -> None:
        self._heard()
        super().data_received(data)

    def send(self, line: str, scrub: str | None = None) -> None:
        # A line can be gone before anybody is told so.
        if self.transport is None or self.transport.is_closing():
            raise ConnectionResetError("the connection broke")
        super().send(line, scrub)


class _Client(IMAP4):  # type: ignore[misc]  # has no types
    """The library's client on such a line."""

    def __init__(
        self, settings: EmailSettings, heard: Callable[[], None], lost: asyncio.Future[None]
    ) -> None:
        self._line = _Line(heard, lambda _: _settle(lost))
        self._security = settings.imap_security
        context = tls_context(settings) if self._security != "none" else None
        super().__init__(
            settings.imap_host, settings.imap_port, timeout=ANSWER_SECONDS, ssl_context=context
        )

    def create_client(
        self, host: str, port: int, _loop: object, _lost: object, ssl_context: ssl.SSLContext | None
    ) -> None:
        loop = asyncio.get_running_loop()
        self.protocol = self._line
        if self._security == "starttls":
            assert ssl_context is not None
            connecting = connect(lambda: self._line, host, port, ssl_context)
        else:
            connecting = loop.create_connection(lambda: self._line, host, port, ssl=ssl_context)
        self._client_task = loop.create_task(connecting)

    async def hang_up(self) -> None:
        """Leave nothing behind: no socket, no task."""
        tasks = [self._client_task, *self.tasks, *self._line.tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._line.transport is not None:
            self._line.transport.abort()


def _settle(lost: asyncio.Future[None]) -> None:
    if not lost.done():
        lost.set_result(None)


def tls_context(settings: EmailSettings) -> ssl.SSLContext:
    """Whose certificates are believed."""
    return ssl.create_default_context(cafile=settings.ca_file or None)


class Mailbox:
    """The folder. One command at a time."""

    def __init__(self, client: _Client, lost: asyncio.Future[None]) -> None:
        self._client = client
        self._lost = lost
        #: Changes when the server has lost count: all UIDs mean other mails then.
        self.validity = 0
        #: The newest mail's UID, when the folder was opened.
        self.newest = 0

    @classmethod
    @asynccontextmanager
    async def open(
        cls, settings: EmailSettings, heard: Callable[[], None] = lambda: None
    ) -> AsyncIterator[Mailbox]:
        """Log in and open the folder. Raises `AccountRefused` and `Unavailable`, also later on."""
        lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        client = _Client(settings, heard, lost)
        mailbox = cls(client, lost)
        try:
            await mailbox._log_in(settings)
            await mailbox._select(settings.folder)
            yield mailbox
        except (AioImapException, OSError, EOFError) as error:
            reason = str(error) or type(error).__name__
            raise Unavailable(f"IMAP server {settings.imap_host}: {reason}") from error
        finally:
            if client.protocol.state not in ("STARTED", "LOGOUT") and not lost.done():
                with suppress(TimeoutError, AioImapException, OSError):
                    async with asyncio.timeout(_GOODBYE_SECONDS):
                        await client.logout()
            await client.hang_up()

    async def since(self, uid: int) -> list[int]:
        """The mails above `uid`, in order of arrival."""
        # The newest mail is above every number in IMAP's eyes.
        return [each for each in await self._search(f"UID {uid + 1}:*") if each > uid]

    async def after(self, moment: datetime) -> list[int]:
        """The mails since that day, in order of arrival."""
        day = (moment - timedelta(days=1)).strftime("%d-%b-%Y")
        return await self._search(f"SINCE {day}")

    async def top(self, uid: int) -> Top | None:
        """The headers of a mail; None if it is gone. Raises `NotHandedOut`."""
        items = f"(UID RFC822.SIZE INTERNALDATE BODY.PEEK[HEADER]<0.{LONGEST_BLOCK + 1}>)"
        lines = await self._fetch(uid, items)
        headers = _content(lines, uid)
        if headers is None:
            return None
        about = _about(lines)
        size = re.search(r"RFC822\.SIZE (\d+)", about)
        return Top(headers, int(size[1]) if size else 0, _arrived(about))

    async def whole(self, uid: int, most: int) -> bytes | None:
        """A mail, of which at most so many bytes come; None if it is gone. Raises
        `NotHandedOut`."""
        return _content(await self._fetch(uid, f"(UID BODY.PEEK[]<0.{most}>)"), uid)

    async def part(self, uid: int, number: str, most: int) -> bytes | None:
        """A part of a mail as it is encoded, of which at most so many bytes come."""
        return _literal(await self._fetch(uid, f"(BODY.PEEK[{number}]<0.{most}>)"))

    async def mark_seen(self, uid: int) -> None:
        """Mark a mail as read. Where that is not allowed it stays unread, and nothing is lost."""
        await self._ask(self._client.uid("STORE", str(uid), "+FLAGS.SILENT", r"(\Seen)"))

    async def append(self, folder: str, data: bytes) -> None:
        """Keep a mail that we sent."""
        append = self._client.append(data, quoted(folder), r"\Seen")
        _succeeded(await self._ask(append), f"keep a copy in {folder}")

    async def wait(self, seconds: float) -> None:
        """Return when mail may have come, and after so many seconds at the latest."""
        if not self._client.has_capability("IDLE"):
            await asyncio.wait([self._lost], timeout=seconds)
            _succeeded(await self._ask(self._client.noop()), "say anything")
            return
        idle = await self._ask(self._client.idle_start(seconds + ANSWER_SECONDS))
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0:
            push = asyncio.ensure_future(self._client.protocol.idle_queue.get())
            either: set[asyncio.Future[Any]] = {push, self._lost}
            try:
                await asyncio.wait(either, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            finally:
                push.cancel()
            if self._lost.done() or (push.done() and _has_come(push.result())):
                break
        if not self._lost.done():
            self._client.idle_done()
        # Its answer is what tells a quiet server from a dead line.
        await self._ask(_result_of(idle))

    def check(self) -> None:
        """Raises `Unavailable` on a line that is lost."""
        if self._lost.done():
            raise Unavailable("the IMAP server closed the connection")

    async def _log_in(self, settings: EmailSettings) -> None:
        async with asyncio.timeout(CONNECT_SECONDS):
            await self._ask(self._client.wait_hello_from_server(), CONNECT_SECONDS)
        assert settings.password is not None
        user = quoted(settings.username or settings.address)
        response = await self._ask(self._client.login(user, settings.password.get_secret_value()))
        if response.result != "OK":
            said = _said(response)
            code = _CODE.search(said)
            if code is not None and code[1] in _PASSES:
                raise Unavailable(f"{settings.imap_host} does not let us in now: {said}")
            raise AccountRefused(
                f"{settings.imap_host} refuses the name or the password of {settings.address} "
                f"({said}). Set OPENCRAW_CHANNELS__EMAIL__PASSWORD; some providers want an app "
                "password there."
            )
        # What a server can do it may tell only to those whom it knows.
        await self._ask(self._client.protocol.capability())

    async def _select(self, folder: str) -> None:
        response = await self._ask(self._client.select(quoted(folder)))
        if response.result != "OK":
            raise AccountRefused(
                f"The folder {folder} cannot be opened ({_said(response)}). "
                "Set channels.email.folder to one that exists."
            )
        about = b" ".join(response.lines).decode("ascii", "replace")
        validity = re.search(r"UIDVALIDITY (\d+)", about)
        if validity is None:
            raise AccountRefused(
                f"The server does not number the mails in {folder} for good (UIDVALIDITY), "
                "so none of them could be told from another. Use another server."
            )
        self.validity = int(validity[1])
        following = re.search(r"UIDNEXT (\d+)", about)
        if following is not None:
            self.newest = int(following[1]) - 1
        else:
            self.newest = max(await self._search("ALL"), default=0)

    async def _search(self, criteria: str) -> list[int]:
        response = await self._ask(self._client.uid_search(criteria, charset=None))
        _succeeded(response, "search")
        words = b" ".join(response.lines[:-1]).split()
        return sorted({int(word) for word in words if word.isdigit()})

    async def _fetch(self, uid: int, items: str) -> list[bytes | bytearray]:
        try:
            response = await self._ask(self._client.uid("FETCH", str(uid), items), WHOLE_SECONDS)
            _succeeded(response, "hand out a mail")
        except (AioImapException, OSError, EOFError, Unavailable) as error:
            # Some servers say no, and some hang up.
            reason = str(error) or type(error).__name__
            code = _CODE.search(reason)
            passes = code is not None and code[1] in _BUSY
            raise NotHandedOut(reason, passes=passes) from error
        return list(response.lines)

    async def _ask(self, question: Coroutine[object, object, T], most: float = ANSWER_SECONDS) -> T:
        """The answer to a command, as long as there is somebody to give it."""
        asked = asyncio.ensure_future(question)
        try:
            either: set[asyncio.Future[Any]] = {asked, self._lost}
            await asyncio.wait(either, timeout=most, return_when=asyncio.FIRST_COMPLETED)
            if asked.done():
                return asked.result()
            if self._lost.done():
                raise Unavailable("the IMAP server closed the connection")
            # Its answer may come in the middle of the next one.
            _settle(self._lost)
            raise Unavailable(f"the IMAP server did not answer within {most:.0f} s")
        finally:
            if not asked.done():
                asked.cancel()
                await asyncio.gather(asked, return_exceptions=True)


async def _result_of(future: asyncio.Future[Response]) -> Response:
    return await future


def _has_come(lines: object) -> bool:
    return isinstance(lines, list) and any(b"EXISTS" in line for line in lines)


def _succeeded(response: Response, doing: str) -> None:
    if response.result != "OK":
        raise Unavailable(f"the IMAP server does not {doing}: {_said(response)}")


def _said(response: Response) -> str:
    last = response.lines[-1] if response.lines else b""
    return bytes(last).decode("utf-8", "replace")[:200]


def _content(lines: list[bytes | bytearray], uid: int) -> bytes | None:
    """What was asked for of a mail; None if there is no such mail."""
    content = _literal(lines)
    if content is None and f"UID {uid}" in _about(lines):
        raise NotHandedOut("the IMAP server tells of a mail, and not what is in it")
    return content


def _about(lines: list[bytes | bytearray]) -> str:
    return b" ".join(line for line in lines if type(line) is bytes).decode("ascii", "replace")


def _literal(lines: list[bytes | bytearray]) -> bytes | None:
    """What a server sent as so many bytes, and not as a line."""
    return next((bytes(line) for line in lines if isinstance(line, bytearray)), None)


def _arrived(about: str) -> datetime | None:
    found = re.search(r'INTERNALDATE "([^"]+)"', about)
    if found is None:
        return None
    with suppress(ValueError):
        return datetime.strptime(found[1].strip(), "%d-%b-%Y %H:%M:%S %z")
    return None
