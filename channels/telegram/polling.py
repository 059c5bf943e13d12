"""Asks Telegram again and again what is new.

The next poll is what acknowledges the last one: Telegram forgets everything before the offset that
it names. So it names an offset only after all before it is durable, and when the process dies
between the two, the same updates come once more and the inbox knows them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

from telegram.error import Conflict, RetryAfter, TelegramError

from channels.receiving import SHORT_WISH, lasting
from channels.telegram import albums, failures
from channels.telegram.account import Account
from channels.telegram.hearing import Hearing
from channels.telegram.translation import CHANNEL
from channels.telegram.updates import WANTED
from opencraw.contract import Gateway, Pulse
from opencraw.errors import Unavailable

log = logging.getLogger(__name__)

#: Polls that fail one after the other until somebody is told. One does not count: a server is
#: restarted, a poll of our own last life is still being held.
_FAILURES = 4
_FIRST_PAUSE = 0.25


class Polling:
    """One account's polls."""

    def __init__(self, account: Account, gateway: Gateway, pulse: Pulse, seconds: int) -> None:
        self._account = account
        self._gateway = gateway
        self._pulse = pulse
        self._seconds = seconds
        self._name = str(account.id)

    async def run(self, hearing: Hearing) -> None:
        """Poll until cancelled, or until it is no use. Raises `AccountRefused` and
        `Unavailable`."""
        offset = await self._first_offset()
        looked: Counter[albums.Album] = Counter()
        while True:
            # An album has to be asked for again, at once: more of it may be there.
            raws = await self._poll(offset, 0 if looked else self._seconds)
            updates = [update for raw in raws if (update := await hearing.read(raw)) is not None]
            count = albums.whole(updates, looked)
            looked = albums.sizes(updates[count:])
            await hearing.take(updates[:count])
            after = updates[count].update_id if looked else _after(raws, offset)
            if after != offset:
                offset = after
                await self._note(offset)
            if looked:
                await asyncio.sleep(albums.PAUSE_SECONDS)

    async def _first_offset(self) -> int:
        """Where we were. Whoever was never here begins with what comes from now on."""
        noted = await lasting(partial(self._gateway.cursor, CHANNEL, self._name))
        if noted is not None:
            return int(noted)
        latest = await self._poll(-1, 0)
        offset = _after(latest, 0)
        await self._note(offset)
        return offset

    async def _note(self, offset: int) -> None:
        await lasting(partial(self._gateway.move_cursor, CHANNEL, self._name, str(offset)))

    async def _poll(self, offset: int, seconds: int) -> Sequence[Any]:
        """What is new. Failures that pass are waited for; the poll that came back is our pulse."""
        failed = 0
        while True:
            try:
                updates = await self._account.poll(offset, seconds, WANTED)
            except (TelegramError, ValueError) as error:
                failed += 1
                await self._pause_after(error, failed)
            else:
                self._pulse.beat()
                return updates

    async def _pause_after(self, error: TelegramError | ValueError, failed: int) -> None:
        if isinstance(error, ValueError):
            trouble: Exception = Unavailable(f"Telegram answers what is no answer: {error}")
        else:
            trouble = failures.of_account(error)
        if not isinstance(trouble, Unavailable):
            raise trouble from error
        # Two programs that poll end each other's polls for ever: the second time is no accident.
        if failed >= (2 if isinstance(error, Conflict) else _FAILURES):
            raise trouble from error
        wish = failures.seconds(error) if isinstance(error, RetryAfter) else 0.0
        if wish > SHORT_WISH:
            raise trouble from error
        pause = max(_FIRST_PAUSE * 2**failed, wish)
        log.warning("%s; asking again in %.1f s", trouble, pause)
        await asyncio.sleep(pause)


def _after(raws: Sequence[Any], offset: int) -> int:
    """The offset behind all updates, also behind those that nobody understands. It follows what
    came: after a week without updates Telegram may choose lower numbers than it had."""
    numbers: list[int] = []
    for raw in raws:
        with contextlib.suppress(TypeError, KeyError):
            if isinstance(raw["update_id"], int):
                numbers.append(raw["update_id"] + 1)
    return max(numbers, default=offset)
