"""Summing a conversation up, as a part of one of its turns.

The order is what keeps everything. What is about to leave the prompts goes into memory, as one
write. Then a model sums it up, and only a summary that passes the audit moves the marks, as another
write. Whoever is killed in between leaves the conversation as it was, and the next attempt finds
that memory has it already. No failure in here is one of the turn.

To read a long conversation takes a tenth of a second: it is done in threads, and other lanes go on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Literal

from opencraw import crashpoints
from opencraw.context.compaction import Plan
from opencraw.context.flush import flush_prompt, notes_from, passages
from opencraw.context.summary import audit, summary_prompt
from opencraw.errors import FailureKind, Fenced, ModelFailure, Unavailable
from opencraw.events import ToolState
from opencraw.hooks import Point
from opencraw.memory.items import Flush, Note
from opencraw.memory.scopes import Scopes, may_learn, scopes_of
from opencraw.model import ModelReply, Prompt, ToolCall, Usage
from opencraw.queue.turns import Marks, Turn
from opencraw.runtime.loop import StepBegins, StepEnds
from opencraw.runtime.purse import Purse
from opencraw.sessions.transcript import Entry, Transcript, View
from opencraw.worker.steps import Steps
from opencraw.worker.workshop import Doing, Runtime, Workshop

log = logging.getLogger(__name__)


#: So often a model may try to sum up, from the second time on with what was wrong before.
MOST_TRIES = 2
_WHAT = "summing up the conversation"

Why = Literal["threshold", "overflow", "order"]
_TOLD: dict[Why, str] = {
    "threshold": "this conversation has become long",
    "overflow": "this conversation has become too long for the model",
    "order": "as you asked",
}
_FAILED = "no summary came about; the conversation goes on without one"


class NotSummedUp(Exception):
    """The model wrote no summary that may take the conversation's place. The text says why."""


class Compacting:
    """Sums up, and keeps what leaves, in the name of one turn."""

    def __init__(
        self, workshop: Workshop, turn: Turn, steps: Steps, runtime: Runtime, purse: Purse | None
    ) -> None:
        self._workshop = workshop
        self._turn = turn
        self._steps = steps
        self._runtime = runtime
        self._purse = purse
        self._memory = workshop.memory
        self._scopes: Scopes | None = None
        if workshop.memory is not None and may_learn(turn.asker):
            self._scopes = scopes_of(turn.asker, workshop.memory.links)
        #: Up to this entry memory has what was said, as far as this turn saw to it.
        self._kept = 0
        #: Of calls that no write has told of yet.
        self._usage = Usage()

    @property
    def may_keep(self) -> bool:
        """Whether what leaves the prompts may go into memory: a turn that nobody asked writes
        nothing there."""
        return self._memory is not None and self._scopes is not None

    async def sum_up(self, plan: Plan, view: View, pruned_seq: int, why: Why) -> bool:
        """Whether the older part of the conversation is summed up now. If it is not, all is as it
        was, except that memory may have it."""
        call = ToolCall(f"compaction-{plan.covers}", "compaction", "{}")
        self._steps.show_tool(call, "started", _TOLD[why])
        await self._tell(Point.BEFORE_COMPACTION, plan, why=why)
        state: ToolState = "cancelled"
        words = ""
        try:
            await self._carry_out(plan, view, pruned_seq)
            state = "finished"
        except (NotSummedUp, ModelFailure) as error:
            state, words = "failed", _FAILED
            log.warning("turn %s: the conversation is not summed up: %s", self._turn.id, error)
        except (Fenced, Unavailable):
            raise
        except Exception:
            # The turn can do without; what went wrong is in the log.
            state, words = "failed", _FAILED
            log.exception("turn %s: the conversation is not summed up", self._turn.id)
        finally:
            self._steps.show_tool(call, state, words)
        if self._usage != Usage():
            await self._steps.advance((), self._spent())
        await self._tell(Point.AFTER_COMPACTION, plan, why=why, summed_up=state == "finished")
        return state == "finished"

    async def keeps(self, transcript: Transcript, through: int) -> bool:
        """Put what leaves the prompts without a summary into memory, where there is one. False when
        that cannot be, now or in this turn."""
        if self._memory is None:
            return True
        kept = max(transcript.view.flushed_seq, self._kept)
        if kept >= through:
            return True
        leaving = [each for each in transcript.entries if kept < each.seq <= through]
        try:
            return await self._flush(leaving, through)
        except (Fenced, Unavailable):
            raise
        except Exception:
            # The turn can do without; what went wrong is in the log.
            log.exception("turn %s: what leaves its prompts is not kept", self._turn.id)
            return False

    async def _carry_out(self, plan: Plan, view: View, pruned_seq: int) -> None:
        kept = max(view.flushed_seq, self._kept)
        if kept < plan.covers:
            fresh = tuple(entry for entry in plan.entries if entry.seq > kept)
            notes = await self._notes(replace(plan, entries=fresh))
            crashpoints.reach("flush_called")
            await self._flush(fresh, plan.covers, notes)
        summary = await self._summary(plan, view.compaction_wanted or "")
        crashpoints.reach("summed_up")
        marks = Marks(pruned_seq, plan.covers, summary, view.compaction_wanted)
        await self._steps.move(marks, self._spent())
        crashpoints.reach("compacted")

    async def _flush(
        self, entries: Sequence[Entry], through: int, notes: tuple[Note, ...] = ()
    ) -> bool:
        """Put what was said into memory, word for word as far as there is room, and the notes. Once
        for each entry, however often it is tried. False where this turn may not."""
        if self._memory is None or self._scopes is None:
            return False
        assembly, turn = self._workshop.assembly, self._turn
        said = await asyncio.to_thread(passages, entries, assembly.flush_max_chars)
        count = assembly.count(turn.model)
        self._steps.doing = Doing("writing to the database")
        await self._memory.flush(
            Flush(
                scopes=self._scopes,
                session_id=turn.session_id,
                from_seq=entries[0].seq if entries else through,
                through_seq=through,
                channel_id=turn.address.channel,
                sender_id=turn.asked_by,
                message_count=said.message_count,
                token_estimate=sum(count(entry.text) for entry in entries),
                passages=said.texts,
                notes=notes,
            )
        )
        self._kept = through
        crashpoints.reach("flushed")
        return True

    async def _notes(self, plan: Plan) -> tuple[Note, ...]:
        """What a model finds worth knowing. Without an answer the words themselves must do."""
        try:
            return notes_from(await self._ask(await asyncio.to_thread(flush_prompt, plan)))
        except ModelFailure as failure:
            if failure.kind is FailureKind.SPEND_CAP:
                raise  # then nothing is summed up either, and another day the notes can be taken
            log.warning("turn %s: no notes were taken: %s", self._turn.id, failure)
            return ()

    async def _summary(self, plan: Plan, focus: str) -> str:
        objections: Sequence[str] = ()
        for _ in range(MOST_TRIES):
            asked = await asyncio.to_thread(summary_prompt, plan, focus, objections)
            reply = await self._ask(asked)
            objections = await asyncio.to_thread(audit, plan, reply.text, reply.stop)
            if not objections:
                return reply.text.strip()
        raise NotSummedUp("; ".join(objections))

    async def _ask(self, prompt: Prompt) -> ModelReply:
        reply: ModelReply | None = None
        async with aclosing(self._runtime.ask(prompt, self._purse)) as events:
            async for event in events:
                self._steps.end_if_asked_to()
                if isinstance(event, StepBegins):
                    await self._steps.write_down(event)
                elif isinstance(event, StepEnds):
                    reply = event.reply
                self._steps.waits_for_model(_WHAT)
        assert reply is not None, "a step without an end"
        self._usage += reply.usage.bounded()
        return reply

    def _spent(self) -> Usage:
        """What the calls took since this was last asked."""
        spent, self._usage = self._usage, Usage()
        return spent

    async def _tell(self, point: Point, plan: Plan, **more: object) -> None:
        hooks, turn = self._workshop.hooks, self._turn
        if hooks.at(point):
            await hooks.tell(
                point,
                {
                    **turn.asker.facts,
                    "covers": plan.covers,
                    "entries": len(plan.entries),
                    **more,
                },
            )
