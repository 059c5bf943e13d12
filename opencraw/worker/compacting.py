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
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Literal

from opencraw import crashpoints
from opencraw.context.assembly import MOST_ENTRIES
from opencraw.context.compaction import Plan
from opencraw.context.flush import flush_prompt, notes_from
from opencraw.context.summary import audit, summary_prompt
from opencraw.errors import FailureKind, Fenced, ModelFailure, Unavailable
from opencraw.events import ToolState
from opencraw.hooks import Point
from opencraw.memory.items import Note
from opencraw.memory.scopes import may_learn
from opencraw.model import ModelReply, Prompt, ToolCall, Usage
from opencraw.queue.turns import Marks, Turn
from opencraw.runtime.loop import StepBegins, StepEnds
from opencraw.runtime.purse import Purse
from opencraw.sessions.keeping import LeftBehind
from opencraw.sessions.transcript import Entry, Transcript, View
from opencraw.worker.remembering import Remembering, TakeNotes
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
_NOTHING = "there is too little to sum up yet"
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
        self._remembering: Remembering | None = None
        if workshop.memory is not None:
            most = workshop.assembly.flush_max_chars
            self._remembering = Remembering(workshop.keeping, workshop.memory, most)
        #: Up to this entry memory has what was said, as far as this turn saw to it.
        self._kept = 0

    @property
    def may_keep(self) -> bool:
        """Whether what leaves the prompts may go into memory: a turn that nobody asked writes
        nothing there, also not what somebody said before it."""
        return self._remembering is not None and may_learn(self._turn.asker)

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
            log.warning(
                "turn %s: session %s is not summed up and goes on without, until it has grown by a"
                " quarter: %s",
                self._turn.id,
                self._turn.session_id,
                error,
            )
        except (Fenced, Unavailable):
            raise
        except Exception:
            # The turn can do without; what went wrong is in the log.
            state, words = "failed", _FAILED
            log.exception("turn %s: the conversation is not summed up", self._turn.id)
        finally:
            self._steps.show_tool(call, state, words)
        if self._steps.owed != Usage():
            await self._steps.advance(())
        await self._tell(Point.AFTER_COMPACTION, plan, why=why, summed_up=state == "finished")
        return state == "finished"

    def comes_to_nothing(self) -> None:
        """Tell whoever ordered it that there is nothing to sum up."""
        call = ToolCall("compaction-0", "compaction", "{}")
        self._steps.show_tool(call, "started", _TOLD["order"])
        self._steps.show_tool(call, "finished", _NOTHING)

    async def keeps(self, transcript: Transcript, through: int) -> bool:
        """Put what leaves the prompts without a summary into memory, where there is one; what
        nobody may learn need not go there. False when that cannot be, now or in this turn."""
        try:
            if self._remembering is None or self.may_keep:
                await self._keep(transcript.view, through)
                return True
            for left in self._left(transcript.view, through):
                if not await self._remembering.pass_over(left):
                    return False
                self._kept = left.through_seq
        except (Fenced, Unavailable):
            raise
        except Exception:
            # The turn can do without; what went wrong is in the log.
            log.exception("turn %s: what leaves its prompts is not kept", self._turn.id)
            return False
        return True

    async def _carry_out(self, plan: Plan, view: View, pruned_seq: int) -> None:
        await self._keep(view, plan.covers, partial(self._notes, plan))
        summary = await self._summary(plan, view.compaction_wanted or "")
        crashpoints.reach("summed_up")
        await self._steps.move(Marks(pruned_seq, plan.covers, summary, view.compaction_wanted))
        crashpoints.reach("compacted")

    async def _keep(self, view: View, through: int, take_notes: TakeNotes | None = None) -> None:
        """Put what was said into memory, where there is one: word for word as far as there is room,
        and notes of what this conversation shows. Once for each entry, however often it is tried.

        What was said before the conversation began anew may not be there yet; it comes first, as
        the housekeeper would bring it in.
        """
        if self._remembering is None:
            return
        for left in self._left(view, through):
            self._steps.doing = Doing("writing to the database")
            if left.through_seq > view.begin_seq:
                await self._remembering.keep(left, lines=MOST_ENTRIES, take_notes=take_notes)
            else:
                await self._remembering.keep(left)
            self._kept = left.through_seq
            crashpoints.reach("flushed")

    def _left(self, view: View, through: int) -> Iterator[LeftBehind]:
        """What memory does not have yet: of what came before this conversation, then of this."""
        turn, self._kept = self._turn, max(view.flushed_seq, self._kept)
        for end in (min(view.begin_seq, through), through):
            if self._kept < end:
                yield LeftBehind(
                    turn.session_id, turn.tenant, turn.address, view.chat_type, self._kept, end
                )

    async def _notes(self, plan: Plan, entries: tuple[Entry, ...]) -> tuple[Note, ...]:
        """What a model finds worth knowing. Without an answer the words themselves must do."""
        asked = await asyncio.to_thread(flush_prompt, replace(plan, entries=entries))
        try:
            notes = notes_from(await self._ask(asked))
        except ModelFailure as failure:
            if failure.kind is FailureKind.SPEND_CAP:
                raise  # then nothing is summed up either, and another day the notes can be taken
            log.warning("turn %s: no notes were taken: %s", self._turn.id, failure)
            notes = ()
        self._steps.doing = Doing("writing to the database")
        crashpoints.reach("flush_called")
        return notes

    async def _summary(self, plan: Plan, focus: str) -> str:
        objections: Sequence[str] = ()
        for _ in range(MOST_TRIES):
            asked = await asyncio.to_thread(summary_prompt, plan, focus, objections)
            reply = await self._ask(asked)
            objections = await asyncio.to_thread(audit, plan, reply.text, reply.stop)
            if not objections:
                return reply.text.strip()
        # What stands behind a colon is people's own and nothing for a log.
        raise NotSummedUp(" ".join(each.partition(":")[0] for each in objections))

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
        self._steps.owed += reply.usage.bounded()
        return reply

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
