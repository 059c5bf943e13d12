"""From a mail that waits in a mailbox to a message that was accepted.

Of each mail the headers come first. Only for somebody whom the door lets in is anything more
fetched; a stranger costs one look at his headers.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from functools import partial
from typing import Protocol
from uuid import uuid4

import msgspec

from channels.mail.heading import Ground, Heading, Rules, TurnedAway, look_at
from channels.mail.reading import LARGEST, File, Reading, read
from channels.mail.tries import NotHandedOut
from channels.receiving import DEFECTS, lasting, offer, tell, understood
from opencraw.contract import Address, Attachment, Envelope, Gateway, Rights, Sender

log = logging.getLogger(__name__)


class Mail(Protocol):
    """One mail in a mailbox, as its channel hands it out piece by piece."""

    @property
    def headers(self) -> bytes:
        """The lines above it."""
        ...

    @property
    def size(self) -> int:
        """How large all of it is, as the mailbox says."""
        ...

    @property
    def arrived(self) -> float | None:
        """When it came to the mailbox, in seconds since 1970."""
        ...

    async def whole(self) -> bytes:
        """All of it, at most `LARGEST` bytes."""
        ...

    def source(self, file: File) -> str:
        """By what one of its files is found again."""
        ...


class Arrivals:
    """Takes in what comes to one mailbox, and counts what it turns away."""

    def __init__(self, channel: str, account: str, rules: Rules) -> None:
        self._channel = channel
        self._account = account
        self._rules = rules
        self.turned_away: Counter[Ground] = Counter()

    async def take_in(
        self,
        gateway: Gateway,
        mail: Mail,
        *,
        thread: str | None = None,
    ) -> bool:
        """Return once a mail needs no further look: accepted, refused or put aside. True if it was
        accepted. `thread` is the platform's, where it has its own."""
        heading = await understood(
            gateway,
            self._channel,
            self._account,
            mail.headers,
            lambda: look_at(mail.headers, self._rules),
        )
        if isinstance(heading, TurnedAway):
            self._turn_away(heading)
            return False
        if heading is None:
            self.turned_away[Ground.UNREADABLE] += 1
            return False
        knock = self._envelope(heading, thread, mail.arrived)
        if not await lasting(partial(gateway.admits, knock)):
            # The door says what there is to say to a stranger.
            return await offer(gateway, knock) is not None
        if mail.size > LARGEST:
            problem = f"it has {mail.size / 1e6:.0f} MB; at most {LARGEST // 1_000_000} are read"
            await _tell(gateway, knock, problem)
            return False
        try:
            data = await mail.whole()
        except NotHandedOut as failure:
            failure.knock = knock
            raise
        # Reading a large mail takes a moment, and others do not wait for it.
        found = await asyncio.to_thread(_read, data, self._rules)
        if isinstance(found, Exception):
            await understood(
                gateway, self._channel, self._account, mail.headers, partial(_again, found)
            )
            self.turned_away[Ground.UNREADABLE] += 1
            await _tell(gateway, knock, "it is not made as mails are made")
            return False
        heading, reading = found
        if isinstance(heading, Heading) and heading.sender.id != knock.sender.id:
            heading = TurnedAway(Ground.FORGED, "its From can be read in two ways", knock.sender.id)
        if isinstance(heading, TurnedAway):
            self._turn_away(heading)
            return False
        files = tuple(
            Attachment(each.name, each.content_type, mail.source(each), each.size)
            for each in reading.files
        )
        said = reading.text or heading.subject or "(no text)"
        envelope = self._envelope(heading, thread, mail.arrived)
        envelope = msgspec.structs.replace(envelope, text=said, attachments=files)
        return await offer(gateway, envelope) is not None

    def counted(self) -> dict[str, str]:
        """What was turned away, for whoever asks how the mailbox fares."""
        return {f"turned away, {ground}": str(n) for ground, n in self.turned_away.items()}

    def _turn_away(self, mail: TurnedAway) -> None:
        self.turned_away[mail.ground] += 1
        times = self.turned_away[mail.ground]
        # The first, the tenth, the hundredth are told among what happened to the channel.
        level = logging.WARNING if str(times).strip("0") == "1" else logging.INFO
        what = "%s: mail from %s is not answered: %s (%s by now)"
        log.log(level, what, self._channel, mail.sender, mail.reason, f"{mail.ground} {times:,}")

    def _envelope(self, heading: Heading, thread: str | None, arrived: float | None) -> Envelope:
        sender = heading.sender
        where = heading.thread if thread is None else thread
        return Envelope(
            address=Address(self._channel, self._account, sender.id, where),
            sender=Sender(sender.id, sender.name, Rights.GUEST, machine=heading.machine),
            text=heading.subject or "(no subject)",
            dedupe_key=heading.key,
            correlation_id=uuid4(),
            written_at=arrived,
            platform_id=heading.message_id,
            reply_context=heading.context.written(),
        )


def _read(data: bytes, rules: Rules) -> tuple[Heading | TurnedAway, Reading] | Exception:
    """The whole mail, and what its own headers say: those that a platform handed out before may
    have been decoded, and then a name can look like an address."""
    try:
        return look_at(data, rules), read(data)
    except DEFECTS as defect:
        return defect


def _again(defect: Exception) -> None:
    raise defect


async def _tell(gateway: Gateway, envelope: Envelope, problem: str) -> None:
    """Say why a mail was not taken to somebody who is let in."""
    await tell(gateway, envelope, f"Your mail could not be read: {problem}.")
