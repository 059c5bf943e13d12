"""The bus over Redis: one publish/subscribe channel for all nodes with one prefix.

Nothing is ever kept in Redis, so it may be erased, restarted or missing at any moment. A node
hears its own parcels, too: they are ignored, but they prove that the whole way works. Silence,
whatever its cause (a hanging server, half a connection, a lost subscription), means to begin anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from opencraw.bus.bus import Bus
from opencraw.bus.messages import Garbled, Message, is_from, pack, unpack
from opencraw.store.backoff import pauses

log = logging.getLogger(__name__)

#: A node that has nothing to say still says that, this often.
HEARTBEAT_SECONDS = 1.0
#: Without a sound for so long, our own included, the connection is worth nothing.
SILENCE_SECONDS = 3.0
#: What could not be said within this time has been found by everybody's poll.
STALE_SECONDS = 2.0
MOST_WAITING = 10_000
_MOST_IN_A_PARCEL = 1_000
#: A connection that lasted so long was a good one: its end is a new trouble.
_GOOD_SECONDS = 5.0


class RedisBus(Bus):
    """Carries hints between nodes while Redis is there, and forgets them while it is not."""

    reaches_others = True

    def __init__(
        self,
        url: str,
        prefix: str,
        node: UUID,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._url = url
        self._channel = f"{prefix}:nodes"
        self._node = node
        self._clock = clock
        self._problem: str | None = "not connected yet"
        self._in_trouble = False
        self._garbled = False
        #: What waits to be said, and since when.
        self._waiting: deque[tuple[float, Message]] = deque(maxlen=MOST_WAITING)
        self._awake = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def problem(self) -> str | None:
        return self._problem

    def publish(self, message: Message) -> None:
        """Tell all other nodes soon. While Redis is away the oldest messages give way."""
        self._waiting.append((self._clock(), message))
        self._empty.clear()
        self._awake.set()

    async def drained(self) -> None:
        """Return when all that was published has been handed to Redis."""
        await self._empty.wait()

    async def run(self) -> None:
        """Carry messages until cancelled, whatever becomes of Redis."""
        waits = pauses(0.05, 2.0)
        while _is_wanted():
            began = self._clock()
            try:
                await self._connected()
            except Exception as error:  # noqa: BLE001 - noted; no word from out there may end the daemon
                self._note_trouble(error)
            if self._clock() - began > _GOOD_SECONDS:
                waits = pauses(0.05, 2.0)
            await asyncio.sleep(next(waits))

    async def _connected(self) -> None:
        client = Redis.from_url(
            self._url,
            socket_timeout=SILENCE_SECONDS,
            socket_connect_timeout=SILENCE_SECONDS,
            # Trying again is decided in one place: `run`.
            retry=Retry(NoBackoff(), 0),
        )
        try:
            async with client.pubsub() as subscription:
                await subscription.subscribe(self._channel)
                self._awake.set()
                if _is_wanted():
                    await _until_one_fails(self._listen(subscription), self._speak(client))
        finally:
            # A server that hangs must not keep us: its connections are dropped, not closed.
            with contextlib.suppress(RedisError, OSError, ValueError):
                await client.aclose()

    async def _speak(self, client: Redis) -> None:
        """Send all that waits as one parcel, again and again; an empty one is the heartbeat."""
        while _is_wanted():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    await self._awake.wait()
            self._awake.clear()
            await client.publish(self._channel, pack(self._node, self._take()))
            if self._waiting:
                self._awake.set()
            else:
                self._empty.set()

    def _take(self) -> list[Message]:
        oldest = self._clock() - STALE_SECONDS
        taken: list[Message] = []
        while self._waiting and len(taken) < _MOST_IN_A_PARCEL:
            since, message = self._waiting.popleft()
            if since >= oldest:
                taken.append(message)
        return taken

    async def _listen(self, subscription: PubSub) -> None:
        while _is_wanted():
            heard = await subscription.get_message(timeout=SILENCE_SECONDS)
            if heard is None:
                raise TimeoutError(f"nothing was heard for {SILENCE_SECONDS:g} s")
            if heard["type"] != "message":
                continue
            parcel = heard["data"]
            if not isinstance(parcel, bytes):
                continue
            if is_from(self._node, parcel):
                self._note_success()
                continue
            for message in unpack(parcel):
                if isinstance(message, Garbled):
                    self._note_garbled(message)
                else:
                    self._heard(message)

    def _note_garbled(self, what: Garbled) -> None:
        if not self._garbled:
            self._garbled = True
            log.warning(
                "something on the Redis channel %s was not understood and is ignored, now and later"
                " (a newer OpenCraw, or another program?): %s", self._channel, what.problem,
            )  # fmt: skip

    def _note_trouble(self, error: BaseException) -> None:
        words = str(error) or type(error).__name__
        self._problem = f"Redis does not work ({words}); other nodes are found by polling"
        if not self._in_trouble:
            self._in_trouble = True
            log.warning("%s, a second later than they could be. Trying again", self._problem)

    def _note_success(self) -> None:
        if self._in_trouble:
            log.info("Redis works again")
        self._in_trouble = False
        self._problem = None


def _is_wanted() -> bool:
    """Whether nobody has cancelled the task that asks. The library (redis 8.1) may swallow a
    cancellation that comes while it reads an answer, so every loop here has to ask."""
    task = asyncio.current_task()
    return task is None or not task.cancelling()


async def _until_one_fails(*endless: Coroutine[Any, Any, None]) -> None:
    """Run both ways of the connection; raises what the first to fail raised.

    A task group would forget that it was cancelled when the library answers that with an error.
    """
    ways = [asyncio.ensure_future(each) for each in endless]
    try:
        done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in done:
            way.result()
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
