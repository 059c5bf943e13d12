"""What memory brings up for a turn: once, before its model is asked, as a line of the transcript.

So it never changes afterwards: the next prompt begins with the bytes of this one, and an attempt
that goes on with the turn sees what the first one saw.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from opencraw.context.notes import note
from opencraw.fence import fence
from opencraw.memory.excerpts import Excerpt, excerpts
from opencraw.memory.items import Item
from opencraw.memory.scopes import scopes_of
from opencraw.queue.turns import TranscriptLine, Turn
from opencraw.sessions.transcript import Entry, Transcript, View
from opencraw.telemetry.seldom import Seldom
from opencraw.worker.workshop import Workshop

log = logging.getLogger(__name__)

#: So many memories are looked at for lines that are worth it.
MOST_HITS = 20
#: Of all that is brought up for one turn, which stays in view; of a small window it is a tenth.
MOST_CHARS = 1_200
#: More of what was asked finds nothing better.
LONGEST_QUERY = 1_000
#: A person waits for the answer, not for what might have helped it.
SECONDS = 0.5

#: A line of a memory may go on below, set in.
_BULLET, _BREAK = "- ", "\n"

_seldom = Seldom()


async def brought_up(
    workshop: Workshop, turn: Turn, transcript: Transcript
) -> TranscriptLine | None:
    """What memory has to say about what this turn was asked, unless it is in view already. None
    also when memory does not answer: a turn can do without."""
    memory = workshop.memory
    if memory is None:
        return None
    scopes = scopes_of(turn.asker, memory.links)
    query = _asked(turn, transcript.entries)
    if scopes is None or not query:
        return None
    try:
        async with asyncio.timeout(SECONDS):
            hits = await memory.search(scopes, query, limit=MOST_HITS)
    except Exception as error:  # noqa: BLE001 - whatever it is, the turn goes on and the log says why
        if _seldom.may_be_told():
            cause = f"{type(error).__name__}: {error}".rstrip(": ")
            log.warning("turn %s: memory was not searched: %s%s", turn.id, cause, _seldom.untold())
        return None
    # What was said here and is still in view needs nobody to remember it.
    hits = [hit for hit in hits if not _is_in_view(hit.item, turn, transcript.view)]
    most = min(MOST_CHARS, workshop.assembly.longest_text // 10)
    found = excerpts(query, hits, most, known=_brought_up_before(transcript))
    return _line(found, transcript.view.fence) if found else None


def _asked(turn: Turn, entries: Sequence[Entry]) -> str:
    """What the turn was asked; empty when it has recalled or begun to answer already."""
    own = [entry for entry in entries if entry.turn_id == turn.id]
    if any(entry.kind in ("recalled", "assistant") for entry in own):
        return ""
    asked = (entry.text for entry in own if entry.disposition != "superseded")
    return "\n".join(asked)[-LONGEST_QUERY:].strip()


def _is_in_view(item: Item, turn: Turn, view: View) -> bool:
    return item.session_id == turn.session_id and (item.to_seq or 0) > view.begin_seq


def _brought_up_before(transcript: Transcript) -> frozenset[str]:
    """The lines of memories that are shown still."""
    return frozenset(
        line.removeprefix(_BULLET)
        for entry in transcript.entries
        if entry.kind == "recalled" and entry.seq > transcript.view.pruned_seq
        for line in entry.text.split(_BREAK)
    )


def _line(found: Sequence[Excerpt], mark: str) -> TranscriptLine:
    """What is brought up: lines of memories, each memory under the day on which it was said."""
    told: list[str] = []
    for each in found:
        told.append(f"{each.item.said_at:%Y-%m-%d}")
        told.extend(f"{_BULLET}{line}" for line in each.lines)
    memories = fence(_BREAK.join(told), origin="memory", mark=mark)
    items = tuple(each.item.id for each in found)
    return TranscriptLine("recalled", text=note("recalled", memories=memories), items=items)
