"""Gmail, as the daemon sees it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial

import msgspec

from channels.gmail.api import Gmail as Api
from channels.gmail.api import Json, Lost, Profile, Record, decoded
from channels.gmail.settings import GmailSettings
from channels.mail.account import Account
from channels.mail.addresses import normalised
from channels.mail.composing import compose
from channels.mail.cursor import Cursor
from channels.mail.reading import File, file_bytes
from channels.mail.tries import NotHandedOut
from channels.receiving import lasting, understood
from opencraw.contract import Address, Attachment, Delivery, Gateway, PartSent, Pulse
from opencraw.errors import (
    AccountRefused,
    MaybeSent,
    NeverSendable,
    NotFound,
    NotSent,
    Refused,
    SlowDown,
    Unavailable,
)

log = logging.getLogger(__name__)

#: What is ours, and what nobody wants to see.
_ELSEWHERE = frozenset({"SENT", "DRAFT", "SPAM", "TRASH"})
#: An operator must do something, so nobody hurries.
_REFUSED_SECONDS = 300.0
#: Of a hundred mails each; whoever has more of them tells them without an end.
_MOST_PAGES = 200
#: Mails that are known without a look into the inbox.
_REMEMBERED = 1_000


class HistoryCursor(Cursor, frozen=True):
    """Everything that Google's history names up to `history` has been taken in."""

    history: str
    #: Of that, what is asked for again.
    behind: tuple[str, ...] = ()

    def at(self, history: str, behind: tuple[str, ...] = ()) -> HistoryCursor:
        return HistoryCursor(self.begun, datetime.now(UTC), history, behind)


class _Source(msgspec.Struct, frozen=True):
    """Where a file is. `part` is what an IMAP server would call it by."""

    id: str
    part: str
    content_type: str


class _Mail:
    """A mail in the mailbox."""

    def __init__(self, api: Api, message: Json) -> None:
        self._api = api
        self._id = str(message["id"])
        self.thread = str(message["threadId"])
        self.labels = frozenset(message.get("labelIds", ()))
        self.arrived = int(message["internalDate"]) / 1_000
        self.size = int(message.get("sizeEstimate", 0))
        # Google has decoded them. What is offered rests on what is read in the mail itself.
        self.headers = "".join(
            f"{header['name']}: {' '.join(header['value'].split())}\r\n"
            for header in message["payload"].get("headers", ())
        ).encode("utf-8", "replace")

    async def whole(self) -> bytes:
        with _of_one_mail():
            return await self._api.whole(self._id)

    def source(self, file: File) -> str:
        return msgspec.json.encode(_Source(self._id, file.number, file.content_type)).decode()


class Gmail:
    """One mailbox."""

    def __init__(self, settings: GmailSettings) -> None:
        self._settings = settings
        self._api = Api(settings)
        self._account = account = Account.of("gmail", settings)
        self._self, self._arrivals, self._tries = account.person, account.arrivals, account.tries
        #: Google has said that the mailbox is this one.
        self._is_ours = False
        #: Whole mails in memory at a time, for files that are not to be had alone.
        self._whole = asyncio.Semaphore(1)
        #: Mails that need no further look, the newest last.
        self._taken: dict[str, None] = {}
        self._pulse = Pulse(settings.poll_interval_ms / 1000 + settings.request_seconds + 1.0)

    @property
    def idempotent(self) -> bool:
        """A mail is looked for by its Message-ID before it is sent."""
        return True

    @property
    def pulse(self) -> Pulse:
        """Beats with every poll that comes back."""
        return self._pulse

    async def run(self, gateway: Gateway) -> None:
        """Take in what comes, in order of arrival, until cancelled."""
        try:
            await self._identify()
            cursor = await self._cursor(gateway)
            self._tries.begin(f"the mailbox {self._self.id}", cursor.behind)
            while True:
                cursor = await self._look(gateway, cursor)
                self._tries.check()
                await asyncio.sleep(self._settings.poll_interval_ms / 1000)
        except SlowDown as slow:
            # A pause may be longer than any line is silent, so the host waits and says so.
            raise Unavailable(str(slow), retry_after=slow.retry_after) from slow
        finally:
            self._api.hang_up()

    async def send(self, delivery: Delivery, sent: PartSent) -> None:
        """Send one mail in its thread; what is long is a long mail."""
        if delivery.parts:
            return
        try:
            # There is no second copy to mark: what may have arrived is found.
            once = msgspec.structs.replace(delivery, recovered=False)
            await self._identify()
            mail = compose(once, self._self)
            # Google would take it twice.
            found = await self._api.search(
                f"rfc822msgid:{mail.message_id.strip('<>')}", everywhere=True
            )
            if found.messages:
                await sent(found.messages[0].id)
                return
            # What answers no mail begins a thread of its own: only References lead into one.
            thread = delivery.address.thread if delivery.reply_context else ""
            try:
                sent_as = await self._api.send(mail.data, thread)
            except NotFound:
                # Its owner has deleted the thread; the mail goes to its reader all the same.
                sent_as = await self._api.send(mail.data, "")
        except SlowDown as slow:
            raise NotSent(str(slow), retry_after=slow.retry_after) from slow
        except Lost as lost:
            raise MaybeSent(str(lost)) from lost
        except Unavailable as away:
            raise NotSent(str(away)) from away
        except AccountRefused as refused:
            raise NotSent(str(refused), retry_after=_REFUSED_SECONDS) from refused
        except Refused as refused:
            raise NeverSendable(str(refused)) from refused
        await sent(sent_as)

    async def fetch(self, attachment: Attachment, limit: int) -> bytes:
        """One file out of a mail that is in the mailbox still."""
        try:
            source = msgspec.json.decode(attachment.source, type=_Source)
        except msgspec.MsgspecError:
            raise NotFound("This file is nowhere that is known.") from None
        try:
            data = await self._file(source, attachment.name, limit)
        except SlowDown as slow:
            raise Unavailable(str(slow), retry_after=slow.retry_after) from slow
        except AccountRefused as refused:
            raise Unavailable(str(refused)) from refused
        if data is None:
            raise NotFound("The file is not in its mail.")
        if len(data) > limit:
            raise _too_large(limit)
        return data

    async def _file(self, source: _Source, name: str, limit: int) -> bytes | None:
        """The file alone, where Google takes the mail apart as we do."""
        part = (await self._api.parts(source.id)).find(_google_name(source.part))
        same = (source.content_type, name)
        if part is None or (part.mime_type.lower(), part.filename) != same:
            # A mail that is made oddly. It is large, so there is one of them at a time.
            async with self._whole:
                data = await self._api.whole(source.id)
                return await asyncio.to_thread(file_bytes, data, source.part)
        if part.body.size > limit:
            raise _too_large(limit)
        if part.body.attachment_id:
            return await self._api.attachment(source.id, part.body.attachment_id)
        return decoded(part.body.data)

    async def probe(self) -> Mapping[str, str]:
        """Ask Google who we are."""
        try:
            profile = await self._profile()
        except Refused as refused:
            raise Unavailable(str(refused)) from refused
        mails = "" if profile.messages_total is None else str(profile.messages_total)
        return {"address": profile.email_address, "mails": mails} | self._arrivals.counted()

    def address(self, recipient: str) -> Address:
        """A new conversation with somebody."""
        return self._account.conversation_with(recipient)

    async def _identify(self) -> None:
        """Make sure once that the mailbox is ours."""
        if not self._is_ours:
            await self._profile()

    async def _profile(self) -> Profile:
        """What Google says of the mailbox. Raises `AccountRefused` where it is another than ours:
        its mail would go on in our conversations, and ours would be answered from there."""
        profile = await self._api.profile()
        found = profile.email_address
        self._is_ours = normalised(found) == self._self.id
        if not self._is_ours:
            raise AccountRefused(
                f"Google gives access to {found}, and not to {self._self.id}. Set "
                f'channels.gmail.address = "{found}", or have the right mailbox grant access.'
            )
        return profile

    async def _cursor(self, gateway: Gateway) -> HistoryCursor:
        """Where to go on; on a first run behind all that is there."""
        label = self._settings.label
        written = await lasting(partial(gateway.cursor, "gmail", self._self.id, label))
        cursor = HistoryCursor.read(written)
        if cursor is None:
            now = datetime.now(UTC)
            cursor = HistoryCursor(now, now, (await self._profile()).history_id)
            await self._note(gateway, cursor)
        return cursor

    async def _look(self, gateway: Gateway, cursor: HistoryCursor) -> HistoryCursor:
        """Take in what is new, and then what was left behind and is due."""
        await self._tries.weigh(gateway, self._comes)
        history = await self._poll(gateway, cursor)
        for mail in self._tries.due():
            await self._tries.take(gateway, mail, partial(self._take_in, gateway, mail, None))
        await self._tries.weigh(gateway, self._comes)
        if (history, self._tries.behind) != (cursor.history, cursor.behind):
            cursor = cursor.at(history, self._tries.behind)
            await self._note(gateway, cursor)
        return cursor

    async def _comes(self, mail_id: str) -> bool:
        """Whether Google hands out a mail."""
        try:
            with _of_one_mail():
                return bool(await self._api.whole(mail_id))
        except NotFound:
            return False

    async def _poll(self, gateway: Gateway, cursor: HistoryCursor) -> str:
        """Take in what was added, or what may have been where history does not reach back; returns
        how far it has come."""
        page: str | None = None
        history = cursor.history
        for _ in range(_MOST_PAGES):
            try:
                found = await self._api.history(cursor.history, page)
            except NotFound:
                return await self._look_again(gateway, cursor)
            self._pulse.beat()
            for raw in found.history:
                record = await understood(
                    gateway, "gmail", self._self.id, raw, partial(msgspec.convert, raw, Record)
                )
                if record is None:
                    continue
                for each in record.messages_added:
                    await self._take_in_once(gateway, each.message.id)
                history = record.id
            page = found.next_page_token
            if page is None:
                history = found.history_id or history
                break
        return history

    async def _look_again(self, gateway: Gateway, cursor: HistoryCursor) -> str:
        log.warning("Gmail's history does not reach back to where we were; looking at the mails")
        history = (await self._profile()).history_id
        newest_first = [found async for found in self._since(cursor.since)]
        for each in reversed(newest_first):
            await self._take_in_once(gateway, each, since=cursor.since)
        return history

    async def _since(self, moment: datetime) -> AsyncIterator[str]:
        page: str | None = None
        for _ in range(_MOST_PAGES):
            found = await self._api.search(f"after:{int(moment.timestamp())}", page)
            self._pulse.beat()
            for message in found.messages:
                yield message.id
            page = found.next_page_token
            if page is None:
                return
        log.warning("there are more mails than are looked at again; the oldest are left out")

    async def _take_in_once(
        self,
        gateway: Gateway,
        mail_id: str,
        since: datetime | None = None,
    ) -> None:
        """History names a mail as often as it likes; the inbox would refuse it, but cost more."""
        if mail_id in self._taken:
            return
        await self._tries.take(gateway, mail_id, partial(self._take_in, gateway, mail_id, since))
        self._taken[mail_id] = None
        if len(self._taken) > _REMEMBERED:
            del self._taken[next(iter(self._taken))]

    async def _take_in(
        self,
        gateway: Gateway,
        mail_id: str,
        since: datetime | None,
    ) -> bool:
        """Whether a mail is said to us. Raises `NotHandedOut`."""
        try:
            with _of_one_mail():
                message = await self._api.headers(mail_id)
            self._pulse.beat()
            mail = await understood(
                gateway, "gmail", self._self.id, message, lambda: _Mail(self._api, message)
            )
            if mail is None or _ELSEWHERE & mail.labels:
                return False
            if since is not None and mail.arrived < since.timestamp():
                return False
            taken = await self._arrivals.take_in(gateway, mail, thread=mail.thread)
            if taken and self._settings.mark_read:
                await self._mark_read(mail_id)
            return taken
        except NotFound:
            # Deleted since; nobody waits for an answer to it.
            return False

    async def _mark_read(self, mail_id: str) -> None:
        """Mark a mail as read. Where that fails it stays unread, and nothing is lost."""
        try:
            with _of_one_mail():
                await self._api.mark_read(mail_id)
        except NotHandedOut as failure:
            log.warning("mail %s was taken in, but stays unread: %s", mail_id, failure)

    async def _note(self, gateway: Gateway, cursor: HistoryCursor) -> None:
        written, label = cursor.written(), self._settings.label
        await lasting(partial(gateway.move_cursor, "gmail", self._self.id, written, label))


def _google_name(number: str) -> str:
    """What Google calls a part by: it counts from zero."""
    return ".".join(str(int(each) - 1) for each in number.split("."))


def _too_large(limit: int) -> Refused:
    return Refused(f"The file has more than {limit:,} bytes.")


@contextmanager
def _of_one_mail() -> Iterator[None]:
    """What fails here fails with a mail."""
    try:
        yield
    except (NotFound, SlowDown):
        raise
    except (Refused, Unavailable) as failure:
        # A line that breaks is no word about a mail.
        raise NotHandedOut(str(failure), passes=isinstance(failure, Lost)) from failure
