"""How often one sender may speak: a bucket of tokens that fills up again by itself.

Buckets live in memory. One that nobody touched for a minute is full, so forgetting it forgets
nothing; only more senders within a minute than `MOST_SENDERS` make us forget one that is not.
Several nodes tell each other what they took.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from opencraw.contract import Envelope
from opencraw.errors import SlowDown

MOST_SENDERS = 10_000
#: A message that is offered again is recognised as long as so many newer ones are remembered.
MOST_KEYS = 10_000
#: What was written so many seconds ago is caught up on: a bucket that was empty then is full now.
LATE_SECONDS = 60.0
_AGAIN = 0.1


def sender_of(envelope: Envelope) -> str:
    """Who is counted, unambiguous on every node."""
    address = envelope.address
    parts = (envelope.tenant, address.channel, address.account, envelope.sender.id)
    return "/".join(part.replace("%", "%25").replace("/", "%2F") for part in parts)


def bucket_of(envelope: Envelope, now: float) -> str:
    """From which bucket a message is taken at `now`, in seconds since 1970. What we catch up on has
    one for each minute in which it was written, in whatever order it comes."""
    sender, written_at = sender_of(envelope), envelope.written_at
    if written_at is None or now - written_at < LATE_SECONDS:
        return sender
    return f"{sender}/{written_at // 60:.0f}"


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class Rates:
    """Who sent how much lately. `per_minute` is the rate and the size of a burst; 0 is no limit. A
    channel may have one of its `own`."""

    def __init__(
        self,
        per_minute: int,
        *,
        own: Mapping[str, int] | None = None,
        tell_others: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_minute = per_minute
        self._own = own or {}
        self._tell_others = tell_others
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._counted: OrderedDict[tuple[str, str], None] = OrderedDict()

    def take(self, sender: str, key: str) -> None:
        """Count one message of `sender`, known by its dedupe `key`. Raises `SlowDown` when there
        were too many; that one does not count. One that is offered again is the same message and
        takes nothing from the others, but it has to be read: ten times as many may come."""
        rate = self._rate(sender)
        if not rate:
            return
        again = (sender, key) in self._counted
        bucket = self._bucket(f"{sender}/again" if again else sender, rate)
        weight = _AGAIN if again else 1.0
        if bucket.tokens < weight:
            pause = (weight - bucket.tokens) * 60 / rate
            raise SlowDown(
                f"You send faster than is taken here ({rate} messages a minute); this "
                f"one was not kept. Send it again in {max(1, round(pause))} s.",
                retry_after=pause,
            )
        bucket.tokens -= weight
        if again:
            return
        self._counted[sender, key] = None
        if len(self._counted) > MOST_KEYS:
            self._counted.popitem(last=False)
        if self._tell_others is not None:
            self._tell_others(sender)

    def others_took(self, sender: str) -> None:
        """Count a message that another node took of this sender."""
        if rate := self._rate(sender):
            bucket = self._bucket(sender, rate)
            bucket.tokens = max(0.0, bucket.tokens - 1)

    def _rate(self, sender: str) -> int:
        """How many a minute are taken of this sender (see `sender_of`)."""
        channel = sender.partition("/")[2].partition("/")[0]
        return self._own.get(channel, self._per_minute)

    def _bucket(self, sender: str, rate: int) -> _Bucket:
        """The sender's bucket, as full as it is by now."""
        now = self._clock()
        bucket = self._buckets.setdefault(sender, _Bucket(rate, now))
        gained = (now - bucket.at) * rate / 60
        bucket.tokens = min(float(rate), bucket.tokens + gained)
        bucket.at = now
        self._buckets.move_to_end(sender)
        if len(self._buckets) > MOST_SENDERS:
            self._buckets.popitem(last=False)
        return bucket
