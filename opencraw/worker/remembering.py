"""Bringing into memory what leaves a conversation, whoever sees to it.

A turn does this before it sums up or leaves out, the housekeeper when a conversation began anew.
Each part goes into the memory of those for whom it was said, as one write that also marks it as
kept: whoever is killed in between leaves the rest to the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from opencraw.context.flush import Passages
from opencraw.context.parts import Part, by_memory, parts, passages_of_parts
from opencraw.context.tokens import rough
from opencraw.memory.items import Flush, Note
from opencraw.memory.memory import Memory
from opencraw.memory.scopes import Scopes
from opencraw.sessions.keeping import Keeping, LeftBehind, LeftLine
from opencraw.sessions.transcript import Entry

#: So many lines go into memory at a time.
MOST_LINES = 500
#: In characters, of a text's beginning and of its end; a passage shows no more of it.
LONGEST_TEXT = 4_000

#: Takes notes of what belongs in one memory.
TakeNotes = Callable[[tuple[Entry, ...]], Awaitable[tuple[Note, ...]]]


class Remembering:
    """Keeps what was said, at most so many characters of it for each memory and page of lines."""

    def __init__(self, keeping: Keeping, memory: Memory, max_chars: int) -> None:
        self._keeping = keeping
        self._memory = memory
        self._max_chars = max_chars

    async def keep(
        self, left: LeftBehind, *, lines: int = MOST_LINES, take_notes: TakeNotes | None = None
    ) -> None:
        """Bring all of it into memory, `lines` at a time. What nobody may learn is passed over."""
        after = left.flushed_seq
        while after < left.through_seq:
            page = await self._keeping.left_lines(left, after, limit=lines, longest=LONGEST_TEXT)
            more = len(page) == lines
            found = parts(page[: _whole_turns(page)] if more else page, self._memory.links)
            notes = await _notes(found, take_notes) if take_notes is not None else {}
            said = await asyncio.to_thread(passages_of_parts, found, self._max_chars)
            for part in found:
                if part.scopes is None:
                    await self._keeping.pass_over(left.id, part.through)
                else:
                    # All notes with the first part: whoever is killed behind it loses none.
                    noted = notes.pop(part.scopes, ())
                    kept = said[part.through]
                    await self._memory.flush(_flush(part, part.scopes, after + 1, kept, noted))
                after = part.through
            if not more:
                break
        if after < left.through_seq:
            # Behind the last line there are only notices, which nobody remembers.
            await self._keeping.pass_over(left.id, left.through_seq)

    async def pass_over(self, left: LeftBehind) -> bool:
        """Leave all of it out of memory, as nobody may learn any of it. False when somebody may,
        and nothing happens."""
        after, more = left.flushed_seq, True
        while more:
            page = await self._keeping.left_lines(left, after, limit=MOST_LINES, longest=0)
            if by_memory(parts(page, self._memory.links)):
                return False
            more = len(page) == MOST_LINES
            after = page[-1].entry.seq if page else after
        await self._keeping.pass_over(left.id, left.through_seq)
        return True


async def _notes(found: Sequence[Part], take_notes: TakeNotes) -> dict[Scopes, tuple[Note, ...]]:
    """What is worth knowing in the parts of each memory; nobody reads those of another with it."""
    return {
        scopes: await take_notes(tuple(entry for part in share for entry in part.entries))
        for scopes, share in by_memory(found).items()
    }


def _flush(
    part: Part, scopes: Scopes, from_seq: int, kept: Passages, notes: tuple[Note, ...]
) -> Flush:
    return Flush(
        scopes=scopes,
        session_id=part.asker.session_id,
        from_seq=from_seq,
        through_seq=part.through,
        channel_id=part.asker.address.channel,
        sender_id=part.asker.sender_id,
        message_count=kept.message_count,
        token_estimate=sum(rough(text) for text in kept.texts),
        passages=kept.texts,
        notes=notes,
    )


def _whole_turns(lines: Sequence[LeftLine]) -> int:
    """How many of `lines` come before the last turn, which may go on behind them; all of them when
    there is no other."""
    last = lines[-1].entry.turn_id
    before = sum(line.entry.turn_id != last for line in lines)
    return before or len(lines)
