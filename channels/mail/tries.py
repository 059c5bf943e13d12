"""What becomes of a mail that its mailbox does not hand out.

A mailbox that stumbles hands out nothing for a while, and that is no mail's fault. So a try counts
against a mail only where another one comes: then it is left behind, and asked for again beside the
others. After some tries, minutes apart, it is put aside, and people hear of it.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial

from channels.receiving import lasting, tell
from opencraw.contract import Address, Envelope, Gateway
from opencraw.errors import QueueFull, Refused, Unavailable

log = logging.getLogger(__name__)

#: After each try that counts; the one after the last of them is the last.
PAUSES = (5.0, 60.0, 300.0, 900.0)
#: A mailbox that is too busy for one mail is given time, however long it takes.
_BUSY_SECONDS = 60.0
#: So many mails in doubt, and it is the mailbox: nobody goes on to those after them.
_MOST_IN_DOUBT = 3


class NotHandedOut(Unavailable):
    """A mail did not come. Whether that lies with the mail, only another one can tell."""

    def __init__(self, message: str, *, passes: bool = False) -> None:
        """What `passes` by the mailbox's own word counts against no mail."""
        super().__init__(message)
        self.passes = passes
        #: Who wrote it, where that is known and he is let in.
        self.knock: Envelope | None = None


@dataclass(slots=True)
class _Left:
    """A mail that was left behind."""

    #: Why it did not come, while nothing tells with whom that lies.
    doubt: NotHandedOut | None = None
    #: How often it did not come while others did.
    tries: int = 0
    due_at: float = 0.0


class Tries:
    """Counts them for one mailbox."""

    def __init__(self, channel: str, account: str, owners: Iterable[str]) -> None:
        self._channel = channel
        self._account = account
        self._owner = next(iter(owners), None)
        self._where = ""
        self._left: dict[str, _Left] = {}
        #: The last mail that came, if any.
        self._came = ""
        #: What came once and did not come again: nothing is told by it.
        self._useless = ""

    def begin(self, where: str, behind: Iterable[str], came: str = "") -> None:
        """Look into a mailbox anew: `behind` is what was left there, `came` what did come. Under
        another `where` the same names mean other mails."""
        if where != self._where:
            self._where, self._left, self._came, self._useless = where, {}, "", ""
        self._left = {mail: _Left() for mail in behind} | self._left
        came = self._came or came
        self._came = "" if came in {*self._left, self._useless} else came

    @property
    def behind(self) -> tuple[str, ...]:
        """The mails that are asked for again."""
        return tuple(self._left)

    @property
    def rest(self) -> float:
        """The seconds until one of them is due."""
        first = min((left.due_at for left in self._left.values()), default=math.inf)
        return max(0.0, first - time.monotonic())

    def due(self) -> list[str]:
        """Those to ask for now."""
        now = time.monotonic()
        return [mail for mail, left in self._left.items() if left.due_at <= now]

    async def take(
        self, gateway: Gateway, mail: str, take_in: Callable[[], Awaitable[bool]]
    ) -> bool:
        """Have a mail taken in, or leave it behind; returns whether it was accepted, as `take_in`
        does. Raises `NotHandedOut` where it is the mailbox that hands out nothing."""
        left = self._left.get(mail)
        if left is not None and left.due_at > time.monotonic():
            return False
        try:
            accepted = await take_in()
        except NotHandedOut as failure:
            in_doubt = sum(each.doubt is not None for each in self._left.values())
            if left is None and in_doubt >= _MOST_IN_DOUBT:
                raise
            self._left.setdefault(mail, _Left()).doubt = failure
            return False
        self._left.pop(mail, None)
        if accepted:
            # All of it came. Of what is turned away nobody fetches more than the headers.
            self._came = mail
            await self._count(gateway)
        return accepted

    async def weigh(self, gateway: Gateway, comes: Callable[[str], Awaitable[bool]]) -> None:
        """Where mails are in doubt, see whether one `comes` that came before."""
        if not self._came or not any(left.doubt for left in self._left.values()):
            return
        try:
            came = await comes(self._came)
        except NotHandedOut:
            came = False
        if came:
            await self._count(gateway)
        else:
            self._came, self._useless = "", self._came

    def check(self) -> None:
        """Raises `NotHandedOut` while a mail is in doubt: for all that is known, none comes."""
        for left in self._left.values():
            if left.doubt is not None:
                raise left.doubt

    async def _count(self, gateway: Gateway) -> None:
        """Another mail came: what is in doubt lies with the mails."""
        for mail, left in list(self._left.items()):
            failure, left.doubt = left.doubt, None
            if failure is None:
                continue
            pause = _BUSY_SECONDS
            if not failure.passes:
                left.tries += 1
                if left.tries > len(PAUSES):
                    await self._put_aside(gateway, mail, failure)
                    del self._left[mail]
                    continue
                pause = PAUSES[left.tries - 1]
            left.due_at = time.monotonic() + pause
            log.warning(
                "%s: %s was not handed out, others were (%s); it is asked for again in %.0f s",
                *(self._channel, self._named(mail), failure, pause),
            )

    async def _put_aside(self, gateway: Gateway, mail: str, failure: NotHandedOut) -> None:
        named = self._named(mail)
        why = f"{named} was not handed out {len(PAUSES) + 1} times, while others were ({failure})"
        await lasting(partial(gateway.quarantine, self._channel, self._account, named, why))
        if failure.knock is not None:
            problem = "the mailbox does not hand it out. Please send it again"
            await tell(gateway, failure.knock, f"Your mail could not be read: {problem}.")
        elif self._owner is not None:
            await self._tell_owner(gateway, self._owner, f"A mail could not be read: {why}.")

    async def _tell_owner(self, gateway: Gateway, owner: str, text: str) -> None:
        """Nobody knows who wrote it; an owner can look at it in its mailbox."""
        address = Address(self._channel, self._account, owner)
        try:
            await lasting(partial(gateway.tell, address, text))
        except (Refused, QueueFull) as refused:
            log.warning("could not say that a mail was put aside: %s", refused)

    def _named(self, mail: str) -> str:
        return f"mail {mail} of {self._where}"
