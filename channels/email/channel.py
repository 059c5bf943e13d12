"""Any mailbox over IMAP and SMTP, as the daemon sees it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial

import msgspec

from channels.email.mailbox import Mailbox, Top
from channels.email.settings import EmailSettings
from channels.email.submission import submit
from channels.mail.account import Account
from channels.mail.composing import compose
from channels.mail.cursor import Cursor
from channels.mail.mime import decoded
from channels.mail.reading import LARGEST, File
from channels.receiving import lasting
from opencraw.contract import Address, Attachment, Delivery, Gateway, PartSent, Pulse
from opencraw.errors import AccountRefused, NotFound, Refused, Unavailable

log = logging.getLogger(__name__)

#: Of the time after which a server must have said something: it is asked twice within it.
_PATIENCE = 2.25
#: Connections beside the one that waits for mail.
_MOST_CONNECTIONS = 2


class FolderCursor(Cursor, frozen=True):
    """Everything up to `uid` has been taken in, as long as the folder's numbers are `validity`."""

    validity: int
    uid: int
    #: Of those, what is asked for again.
    behind: tuple[str, ...] = ()

    def at(self, uid: int, behind: tuple[str, ...] = ()) -> FolderCursor:
        """One mail further."""
        return FolderCursor(self.begun, datetime.now(UTC), self.validity, uid, behind)


class _Source(msgspec.Struct, frozen=True):
    """Where a file is. `name` is that of the folder."""

    name: str
    validity: int
    uid: int
    part: str
    encoding: str


class _Mail:
    """A mail in the folder."""

    def __init__(self, mailbox: Mailbox, folder: str, uid: int, top: Top) -> None:
        self._mailbox = mailbox
        self._folder = folder
        self._uid = uid
        self.headers = top.headers
        self.arrived = None if top.arrived is None else top.arrived.timestamp()
        self.size = top.size

    async def whole(self) -> bytes:
        """All of it. One that is gone meanwhile says what its headers say."""
        return await self._mailbox.whole(self._uid, LARGEST) or self.headers

    def source(self, file: File) -> str:
        where = _Source(self._folder, self._mailbox.validity, self._uid, file.number, file.encoding)
        return msgspec.json.encode(where).decode()


class Email:
    """One mailbox."""

    def __init__(self, settings: EmailSettings) -> None:
        self._settings = settings
        self._account = account = Account.of("email", settings)
        self._self, self._arrivals, self._tries = account.person, account.arrivals, account.tries
        self._pulse = Pulse(_PATIENCE * settings.idle_seconds)
        self._connections = asyncio.Semaphore(_MOST_CONNECTIONS)

    @property
    def idempotent(self) -> bool:
        """A Message-ID is a key to some mailboxes and not to others."""
        return False

    @property
    def pulse(self) -> Pulse:
        """Beats with every byte that the server says."""
        return self._pulse

    async def run(self, gateway: Gateway) -> None:
        """Take in what comes, in order of arrival, until cancelled."""
        if not self._settings.authserv_id:
            log.warning(
                "channels.email.authserv_id is not set: no sender can be told from a forger, so "
                "nobody is let in; set it to the name in your server's Authentication-Results"
            )
        async with Mailbox.open(self._settings, self._pulse.beat) as mailbox:
            cursor = await self._cursor(gateway, mailbox)
            self._tries.begin(self._where(mailbox), cursor.behind, came=str(cursor.uid))
            while True:
                cursor = await self._look(gateway, mailbox, cursor)
                self._tries.check()
                await mailbox.wait(min(self._settings.idle_seconds, self._tries.rest))

    async def send(self, delivery: Delivery, sent: PartSent) -> None:
        """Submit one mail; what is long is a long mail."""
        if delivery.parts:
            return
        mail = compose(delivery, self._self)
        await submit(self._settings, mail)
        await sent(mail.message_id)
        if self._settings.sent_folder:
            await self._keep(mail.data)

    async def fetch(self, attachment: Attachment, limit: int) -> bytes:
        """One file out of a mail that lies in its folder still."""
        try:
            source = msgspec.json.decode(attachment.source, type=_Source)
        except msgspec.MsgspecError:
            raise NotFound("This file is nowhere that is known.") from None
        # Four letters for three bytes, and line ends.
        most = limit * 3 // 2 + 4_096
        settings = self._settings.model_copy(update={"folder": source.name})
        found = None
        try:
            async with self._connections, Mailbox.open(settings) as mailbox:
                if mailbox.validity == source.validity:
                    found = await mailbox.part(source.uid, source.part, most)
        except AccountRefused as refused:
            raise Unavailable(str(refused)) from refused
        if found is None:
            raise NotFound("The mail with this file is not in its folder any more.")
        data = decoded(found, source.encoding)
        if len(found) >= most or len(data) > limit:
            raise Refused(f"The file has more than {limit:,} bytes.")
        return data

    async def probe(self) -> Mapping[str, str]:
        """Log in, and say what there is."""
        async with self._connections, Mailbox.open(self._settings) as mailbox:
            facts = {
                "address": self._self.id,
                "folder": self._settings.folder,
                "newest mail": str(mailbox.newest) if mailbox.newest else "none",
            }
        return facts | self._arrivals.counted()

    def address(self, recipient: str) -> Address:
        """A new conversation with somebody."""
        return self._account.conversation_with(recipient)

    async def _cursor(self, gateway: Gateway, mailbox: Mailbox) -> FolderCursor:
        """Where to go on; on a first run behind all that is there."""
        folder = self._settings.folder
        written = await lasting(partial(gateway.cursor, "email", self._self.id, folder))
        cursor = FolderCursor.read(written)
        if cursor is not None and cursor.validity == mailbox.validity:
            return cursor
        now = datetime.now(UTC)
        begun = now
        if cursor is not None:
            log.warning("the mail server numbers %s anew; looking again", folder)
            begun = cursor.begun
            self._tries.begin(self._where(mailbox), ())
            # Who broke the line last time would break it again.
            for uid in await mailbox.after(cursor.since):
                if str(uid) in self._tries.behind:
                    continue
                await self._take_in(gateway, mailbox, uid, since=cursor.since)
                mailbox.check()
        behind = self._tries.behind
        cursor = FolderCursor(begun, now, mailbox.validity, mailbox.newest, behind)
        await self._note(gateway, cursor)
        return cursor

    async def _look(self, gateway: Gateway, mailbox: Mailbox, cursor: FolderCursor) -> FolderCursor:
        """Take in what is new, and then what was left behind and is due."""

        async def comes(mail: str) -> bool:
            return await mailbox.whole(int(mail), LARGEST) is not None

        async def noted(uid: int) -> FolderCursor:
            if (uid, self._tries.behind) == (cursor.uid, cursor.behind):
                return cursor
            further = cursor.at(uid, self._tries.behind)
            await self._note(gateway, further)
            return further

        await self._tries.weigh(gateway, comes)
        mailbox.check()
        for uid in await mailbox.since(cursor.uid):
            await self._take_in(gateway, mailbox, uid)
            cursor = await noted(uid)
            mailbox.check()
        for mail in self._tries.due():
            await self._take_in(gateway, mailbox, int(mail))
            cursor = await noted(cursor.uid)
            mailbox.check()
        await self._tries.weigh(gateway, comes)
        return await noted(cursor.uid)

    def _where(self, mailbox: Mailbox) -> str:
        return f"the folder {self._settings.folder}, UIDVALIDITY {mailbox.validity}"

    async def _take_in(
        self, gateway: Gateway, mailbox: Mailbox, uid: int, since: datetime | None = None
    ) -> None:
        take_in = partial(self._accepted, gateway, mailbox, uid, since)
        if await self._tries.take(gateway, str(uid), take_in) and self._settings.mark_read:
            await mailbox.mark_seen(uid)

    async def _accepted(
        self, gateway: Gateway, mailbox: Mailbox, uid: int, since: datetime | None
    ) -> bool:
        """Whether a mail is said to us now. Raises `NotHandedOut`."""
        top = await mailbox.top(uid)
        if top is None:
            return False
        if since is not None and top.arrived is not None and top.arrived < since:
            return False
        mail = _Mail(mailbox, self._settings.folder, uid, top)
        return await self._arrivals.take_in(gateway, mail)

    async def _note(self, gateway: Gateway, cursor: FolderCursor) -> None:
        written, folder = cursor.written(), self._settings.folder
        await lasting(partial(gateway.move_cursor, "email", self._self.id, written, folder))

    async def _keep(self, data: bytes) -> None:
        """Put a copy of what was sent where its owner looks for it."""
        folder = self._settings.sent_folder
        try:
            async with self._connections, Mailbox.open(self._settings) as mailbox:
                await mailbox.append(folder, data)
        except (AccountRefused, Unavailable) as error:
            log.warning("a mail was sent, but no copy of it is in %s: %s", folder, error)
