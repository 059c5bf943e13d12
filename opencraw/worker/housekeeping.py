"""What is done about conversations when nobody waits for it.

What people began anew after goes into memory, silent conversations are archived, and what has been
kept for long enough is removed, as are files that came with no message. Every node does this; none
needs to know of the others.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from opencraw.attachments.attachments import Attachments
from opencraw.errors import Unavailable
from opencraw.memory.memory import Memory
from opencraw.sessions.keeping import Keeping
from opencraw.worker.remembering import Remembering

log = logging.getLogger(__name__)

#: Who begins anew and asks at once what the assistant knows should not wait for long.
LOOK_SECONDS = 5.0
SWEEP_SECONDS = 1800.0
#: Whoever starts has other things to do first.
FIRST_SWEEP_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Terms:
    """For how long conversations are kept; None is for ever."""

    archive_after: timedelta | None = None
    prune_after: timedelta | None = None
    #: So many characters of what was said go into memory; see `Remembering`.
    flush_max_chars: int = 16_000


class Housekeeper:
    """Keeps house for as long as the daemon lives."""

    def __init__(
        self,
        keeping: Keeping,
        memory: Memory | None,
        terms: Terms,
        attachments: Attachments | None = None,
    ) -> None:
        self._keeping = keeping
        self._memory = memory
        self._remembering = (
            Remembering(keeping, memory, terms.flush_max_chars) if memory is not None else None
        )
        self._terms = terms
        self._attachments = attachments

    async def run(self) -> None:
        """Look after things until cancelled. What fails is tried again in the next round."""
        swept_at = time.monotonic() - SWEEP_SECONDS + FIRST_SWEEP_SECONDS
        while True:
            await self._contained(self.remember, "what was left behind is not in memory yet")
            if time.monotonic() - swept_at >= SWEEP_SECONDS:
                swept_at = time.monotonic()
                await self._contained(self.sweep, "old conversations were not seen to")
                if self._memory is not None:
                    await self._contained(self._memory.tidy, "memory was not kept within bounds")
            await asyncio.sleep(LOOK_SECONDS)

    async def _contained(self, work: Callable[[], Awaitable[None]], impact: str) -> None:
        try:
            await work()
        except Unavailable as error:
            log.warning("%s, the next round will do it: %s", impact, error)
        except Exception:
            # Whatever is wrong with one conversation must not end everybody's.
            log.exception("%s", impact)

    async def sweep(self) -> None:
        """Archive, remove, and drop what nobody asks for any more."""
        now = datetime.now(UTC)
        terms = self._terms
        if terms.archive_after is not None:
            await self._keeping.archive(now - terms.archive_after)
        if terms.prune_after is not None:
            await self._keeping.let_go(now - terms.prune_after)
        await self._keeping.finish_removals()
        await self._keeping.drop_old_rows(now)
        if self._attachments is not None:
            await self._attachments.sweep(now)

    async def remember(self) -> None:
        """Bring into memory what was said before conversations began anew. What was said while
        nothing was remembered is not remembered later."""
        for left in await self._keeping.left_behind():
            if self._remembering is None:
                await self._keeping.pass_over(left.id, left.through_seq)
            else:
                await self._contained(
                    partial(self._remembering.keep, left),
                    f"what was said in session {left.id} is not in memory yet",
                )
