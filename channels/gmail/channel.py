"""Gmail, as the daemon sees it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec

from channels.gmail.api import Gmail as Api
from channels.gmail.api import Json, Lost
from channels.gmail.settings import GmailSettings
from channels.mail.addresses import Person, all_normalised, normalised
from channels.mail.arriving import Arrivals
from channels.mail.composing import compose
from channels.mail.heading import Rules
from channels.mail.reading import File, file_bytes
from channels.receiving import understood
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
#: Where history is lost, mail of the last days before it is looked at again.
_SLACK = timedelta(days=2)
#: An operator must do something, so nobody hurries.
_REFUSED_SECONDS = 300.0
#: Of a hundred mails each; whoever has more of them tells them without an end.
_MOST_PAGES = 200
#: Mails that are known without a look into the inbox.
_REMEMBERED = 1_000


class Place(msgspec.Struct, frozen=True):
    """How far the mailbox has been read."""

    history: str
    begun: datetime
    moved: datetime

    def at(self, history: str) -> Place:
        return Place(history, self.begun, datetime.now(UTC))

    @property
    def since(self) -> datetime:
        return max(self.begun, self.moved - _SLACK)


class _Source(msgspec.Struct, frozen=True):
    """Where a file is."""

    id: str
    part: str


class _Letter:
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
        return await self._api.whole(self._id)

    def source(self, file: File) -> str:
        return msgspec.json.encode(_Source(self._id, file.number)).decode()


class Gmail:
    """One mailbox."""

    def __init__(self, settings: GmailSettings) -> None:
        self._settings = settings
        self._api = Api(settings)
        self._self: Person | None = None
        self._arrivals: Arrivals | None = None
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
        self._pulse.beat()
        try:
            arrivals = await self._arriving()
            place = await self._place(gateway)
            while True:
                place = await self._poll(gateway, arrivals, place)
                await asyncio.sleep(self._settings.poll_interval_ms / 1000)
        except SlowDown as slow:
            # A pause may be longer than any line is silent, so the host waits and says so.
            raise Unavailable(str(slow), retry_after=slow.retry_after) from slow

    async def send(self, delivery: Delivery, sent: PartSent) -> None:
        """Send one mail in its thread; what is long is a long mail."""
        if delivery.parts:
            return
        try:
            # There is no second copy to mark: what may have arrived is found.
            once = msgspec.structs.replace(delivery, recovered=False)
            mail = compose(once, await self._own())
            # Google would take it twice.
            found = await self._api.search(
                f"rfc822msgid:{mail.message_id.strip('<>')}", everywhere=True
            )
            if messages := found.get("messages"):
                await sent(str(messages[0]["id"]))
                return
            thread = delivery.address.thread
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
        if attachment.size is not None and attachment.size > limit * 1.1:
            raise Refused(f"The file has more than {limit:,} bytes.")
        try:
            data = await asyncio.to_thread(
                file_bytes, await self._api.whole(source.id), source.part
            )
        except SlowDown as slow:
            raise Unavailable(str(slow), retry_after=slow.retry_after) from slow
        except AccountRefused as refused:
            raise Unavailable(str(refused)) from refused
        if data is None:
            raise NotFound("The file is not in its mail.")
        if len(data) > limit:
            raise Refused(f"The file has more than {limit:,} bytes.")
        return data

    async def probe(self) -> Mapping[str, str]:
        """Ask Google who we are."""
        try:
            profile = await self._api.profile()
        except Refused as refused:
            raise Unavailable(str(refused)) from refused
        facts = {
            "address": str(profile["emailAddress"]),
            "mails": str(profile.get("messagesTotal", "")),
        }
        turned_away = self._arrivals.turned_away if self._arrivals is not None else {}
        return facts | {
            f"turned away, {ground}": str(count) for ground, count in turned_away.items()
        }

    def address(self, recipient: str) -> Address:
        """A new conversation with somebody."""
        known = normalised(recipient)
        if known is None:
            raise Refused(f"{recipient!r} is no e-mail address.", code="INVALID_FIELD")
        return Address("gmail", "", known)

    async def _own(self) -> Person:
        """Who we are, as Google says."""
        if self._self is None:
            address = normalised(str((await self._api.profile())["emailAddress"]))
            if address is None:
                raise AccountRefused("Google names no address of this mailbox.")
            self._self = Person(address, self._settings.name)
        return self._self

    async def _arriving(self) -> Arrivals:
        if self._arrivals is None:
            settings = self._settings
            listed = all_normalised([*settings.access.owners, *settings.access.allowed_senders])
            aliases = all_normalised(settings.aliases)
            rules = Rules((await self._own()).id, settings.authserv_id, listed, aliases)
            self._arrivals = Arrivals("gmail", "", rules)
        return self._arrivals

    async def _place(self, gateway: Gateway) -> Place:
        """Where to go on; on a first run behind all that is there."""
        written = await gateway.cursor("gmail", "", self._settings.label)
        if written is not None:
            return msgspec.json.decode(written, type=Place)
        now = datetime.now(UTC)
        place = Place(str((await self._api.profile())["historyId"]), now, now)
        await self._note(gateway, place)
        return place

    async def _poll(self, gateway: Gateway, arrivals: Arrivals, place: Place) -> Place:
        """Take in what was added, or what may have been where history does not reach back."""
        page: str | None = None
        history = place.history
        for _ in range(_MOST_PAGES):
            try:
                found = await self._api.history(place.history, page)
            except NotFound:
                return await self._look_again(gateway, arrivals, place)
            self._pulse.beat()
            for record in found.get("history", ()):
                added = await understood(gateway, "gmail", "", record, partial(_added, record))
                for each in added or ():
                    await self._take_in_once(gateway, arrivals, each)
                history = str(record["id"])
            page = found.get("nextPageToken")
            if page is None:
                history = str(found["historyId"])
                break
        if history != place.history:
            place = place.at(history)
            await self._note(gateway, place)
        return place

    async def _look_again(self, gateway: Gateway, arrivals: Arrivals, place: Place) -> Place:
        log.warning("Gmail's history does not reach back to where we were; looking at the mails")
        history = str((await self._api.profile())["historyId"])
        newest_first = [found async for found in self._since(place.since)]
        for each in reversed(newest_first):
            await self._take_in_once(gateway, arrivals, each, since=place.since)
        place = place.at(history)
        await self._note(gateway, place)
        return place

    async def _since(self, moment: datetime) -> AsyncIterator[str]:
        page: str | None = None
        for _ in range(_MOST_PAGES):
            found = await self._api.search(f"after:{int(moment.timestamp())}", page)
            self._pulse.beat()
            for message in found.get("messages", ()):
                yield str(message["id"])
            page = found.get("nextPageToken")
            if page is None:
                return
        log.warning("there are more mails than are looked at again; the oldest are left out")

    async def _take_in_once(
        self,
        gateway: Gateway,
        arrivals: Arrivals,
        id: str,  # noqa: A002 - Google's name for it
        since: datetime | None = None,
    ) -> None:
        """History names a mail as often as it likes; the inbox would refuse it, but cost more."""
        if id in self._taken:
            return
        await self._take_in(gateway, arrivals, id, since)
        self._taken[id] = None
        if len(self._taken) > _REMEMBERED:
            del self._taken[next(iter(self._taken))]

    async def _take_in(
        self,
        gateway: Gateway,
        arrivals: Arrivals,
        id: str,  # noqa: A002 - Google's name for it
        since: datetime | None,
    ) -> None:
        try:
            message = await self._api.headers(id)
            self._pulse.beat()
            letter = await understood(
                gateway, "gmail", "", message, lambda: _Letter(self._api, message)
            )
            if letter is None or _ELSEWHERE & letter.labels:
                return
            if since is not None and letter.arrived < since.timestamp():
                return
            taken = await arrivals.take_in(gateway, letter, thread=letter.thread)
            if taken and self._settings.mark_read:
                await self._api.mark_read(id)
        except NotFound:
            # Deleted since; nobody waits for an answer to it.
            return

    async def _note(self, gateway: Gateway, place: Place) -> None:
        written = msgspec.json.encode(place).decode()
        while True:
            try:
                await gateway.move_cursor("gmail", "", written, self._settings.label)
            except Unavailable as away:
                await asyncio.sleep(away.retry_after)
            else:
                return


def _added(record: Json) -> list[str]:
    """The mails that a record of history names."""
    return [str(added["message"]["id"]) for added in record.get("messagesAdded", ())]
