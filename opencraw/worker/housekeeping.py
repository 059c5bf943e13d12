"""What is done about conversations when nobody waits for it.

What people began anew after goes into memory, silent conversations are archived, and what has been
kept for long enough is removed. Every node does this; none needs to know of the others.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import groupby

from opencraw.context.flush import passages
from opencraw.errors import Unavailable
from opencraw.memory.items import Flush
from opencraw.memory.memory import Memory
from opencraw.memory.scopes import Scopes, may_learn, scopes_of
from opencraw.sessions.asker import Asker
from opencraw.sessions.keeping import Keeping, LeftBehind, LeftLine

log = logging.getLogger(__name__)

#: Who begins anew and asks at once what the assistant knows should not wait for long.
LOOK_SECONDS = 5.0
SWEEP_SECONDS = 1800.0
#: Whoever starts has other things to do first.
FIRST_SWEEP_SECONDS = 120.0
#: So many lines go into memory at a time.
MOST_LINES = 500
#: In characters; a passage shows no more of a text.
LONGEST_TEXT = 4_000
_CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Terms:
    """For how long conversations are kept; None is for ever."""

    archive_after: timedelta | None = None
    prune_after: timedelta | None = None
    #: So much of what was said goes into memory, of each part.
    flush_max_chars: int = 16_000


class Housekeeper:
    """Keeps house for as long as the daemon lives."""

    def __init__(self, keeping: Keeping, memory: Memory | None, terms: Terms) -> None:
        self._keeping = keeping
        self._memory = memory
        self._terms = terms

    async def run(self) -> None:
        """Look after things until cancelled. What fails is tried again in the next round."""
        swept_at = time.monotonic() - SWEEP_SECONDS + FIRST_SWEEP_SECONDS
        while True:
            await self._contained(self.remember, "what was left behind is not in memory yet")
            if time.monotonic() - swept_at >= SWEEP_SECONDS:
                swept_at = time.monotonic()
                await self._contained(self.sweep, "old conversations were not seen to")
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

    async def remember(self) -> None:
        """Bring into memory what was said before conversations began anew. What was said while
        nothing was remembered is not remembered later."""
        for left in await self._keeping.left_behind():
            if self._memory is None:
                await self._keeping.pass_over(left.id, left.reset_seq)
            else:
                await self._contained(
                    partial(self._flush_all, self._memory, left),
                    f"what was said in session {left.id} is not in memory yet",
                )

    async def _flush_all(self, memory: Memory, left: LeftBehind) -> None:
        after = left.flushed_seq
        while after < left.reset_seq:
            lines = await self._keeping.left_lines(
                left, after, limit=MOST_LINES, longest=LONGEST_TEXT
            )
            more = len(lines) == MOST_LINES
            for part in parts(lines[: _whole_turns(lines)] if more else lines, memory):
                await self._flush(memory, left, after, part)
                after = part.through
            if not more:
                # Behind the last line there are only notices, which nobody remembers.
                await self._keeping.pass_over(left.id, left.reset_seq)
                return

    async def _flush(self, memory: Memory, left: LeftBehind, after: int, part: Part) -> None:
        if part.scopes is None:
            await self._keeping.pass_over(left.id, part.through)
            return
        entries = [line.entry for line in part.lines]
        said = passages(entries, self._terms.flush_max_chars)
        await memory.flush(
            Flush(
                scopes=part.scopes,
                session_id=left.id,
                from_seq=after + 1,
                through_seq=part.through,
                channel_id=part.asker.address.channel,
                sender_id=part.asker.sender_id,
                message_count=said.message_count,
                token_estimate=sum(map(len, said.texts)) // _CHARACTERS_PER_TOKEN,
                passages=said.texts,
                notes=(),
            )
        )


@dataclass(frozen=True, slots=True)
class Part:
    """Lines in a row that belong to the same scopes; None belongs to nobody's memory."""

    scopes: Scopes | None
    lines: Sequence[LeftLine]

    @property
    def asker(self) -> Asker:
        return self.lines[0].asker

    @property
    def through(self) -> int:
        return self.lines[-1].entry.seq


def parts(lines: Sequence[LeftLine], memory: Memory) -> Sequence[Part]:
    """A conversation in parts, each for one memory: several people may share a conversation, and
    none of them is told what another one said."""

    def scopes(line: LeftLine) -> Scopes | None:
        return scopes_of(line.asker, memory.links) if may_learn(line.asker) else None

    return [Part(each, tuple(group)) for each, group in groupby(lines, scopes)]


def _whole_turns(lines: Sequence[LeftLine]) -> int:
    """How many of `lines` come before the last turn, which may go on behind them; all of them when
    there is no other."""
    last = lines[-1].entry.turn_id
    before = sum(line.entry.turn_id != last for line in lines)
    return before or len(lines)
