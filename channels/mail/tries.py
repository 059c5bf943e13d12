"""What becomes of a mail that its mailbox does not hand out: it is tried again, and put aside at
last, or the channel would come to it for ever."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from channels.receiving import lasting
from opencraw.contract import Gateway
from opencraw.errors import Unavailable

T = TypeVar("T")

#: After so many of them the channel goes on without the mail.
MOST_TRIES = 5


class NotHandedOut(Unavailable):
    """The mailbox keeps one mail to itself. Those after it may be another matter."""


class Tries:
    """Counts them for one mailbox."""

    def __init__(self, channel: str, account: str) -> None:
        self._channel = channel
        self._account = account
        #: How often each mail was asked for in vain, and what was put aside with them.
        self._in_vain: Counter[str] = Counter()

    async def take(
        self, gateway: Gateway, mail: str, take_in: Callable[[], Awaitable[T]]
    ) -> T | None:
        """What `take_in` returns; None for a mail that is put aside. It stays where it is, under
        the name `mail`, for whoever looks there. Raises `NotHandedOut` where it is to be tried
        again."""
        if self._in_vain[mail] >= MOST_TRIES:
            # Whoever looks at a mailbox anew comes to it again.
            return None
        try:
            taken = await take_in()
        except NotHandedOut as failure:
            self._in_vain[mail] += 1
            if self._in_vain[mail] < MOST_TRIES:
                raise
            await self._put_aside(gateway, mail, str(failure))
            return None
        del self._in_vain[mail]
        return taken

    async def _put_aside(self, gateway: Gateway, mail: str, problem: str) -> None:
        why = f"{mail} was not handed out {MOST_TRIES} times ({problem})"
        await lasting(partial(gateway.quarantine, self._channel, self._account, mail, why))
