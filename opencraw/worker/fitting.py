"""Keeps what a turn's model is shown within its limits, from the turn's beginning to its end.

Before the model is asked, and again when a turn has grown in its middle, the marks move if it is
time. A provider that says that it was too much is believed: what it is shown then is half of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import ParamSpec, TypeVar

from opencraw.context.blocks import Limits, message_weight, said, shorten, weight
from opencraw.context.compaction import Move, Plan, move
from opencraw.context.files import Look, with_files
from opencraw.context.window import Window, window
from opencraw.errors import FailureKind, ModelFailure
from opencraw.model import UserMessage
from opencraw.queue.inbox import Said
from opencraw.queue.turns import Marks, Turn
from opencraw.runtime.loop import RuntimeEvent, StepEnds, ToolEnds
from opencraw.sessions.transcript import Transcript, View
from opencraw.worker.compacting import Compacting, Why
from opencraw.worker.steps import Steps
from opencraw.worker.workshop import Workshop

log = logging.getLogger(__name__)

#: So often a turn tries to get along with less, when a provider says that it was too much.
MOST_OVERFLOWS = 3
#: A turn that has outgrown its window in vain looks again when it has grown by so much.
GROWTH = 1.25

#: More entries are looked at in a thread: other lanes would notice.
MOST_ON_THE_LOOP = 300

Read = Callable[[], Awaitable[Transcript]]
T = TypeVar("T")
P = ParamSpec("P")


class Fitting:
    """What one turn's model is shown. Raises `ModelFailure` when the model is not configured."""

    def __init__(self, workshop: Workshop, turn: Turn, steps: Steps, system: str) -> None:
        self.runtime = workshop.runtime(turn.model)
        self.purse = workshop.purse(turn)
        self.system = system
        self._workshop = workshop
        self._turn = turn
        self._steps = steps
        self._assembly = workshop.assembly
        self._compacting = Compacting(workshop, turn, steps, self.runtime, self.purse)
        self._count = self._assembly.count(turn.model)
        self._wrapping = self._assembly.wrapping(turn.model, self.system, self.runtime.specs)
        self._limits = self._assembly.limits(turn.model, self._wrapping)
        self._overflows = 0
        self._view = View()
        #: Whether there are any in what the model is shown.
        self._shows_pictures = False
        #: What the model is shown, in tokens as we count them, and how much of it is too much.
        self._shown = 0
        self._too_much = 0

    async def window(self, transcript: Transcript, read: Read) -> Window:
        """What is shown of the conversation, once its marks are where they should be."""
        self._counts_anew()
        shown = await self._window(transcript)
        if self._is_worth_a_look(transcript, shown) and await self._moves(transcript, shown):
            transcript = await read()
            shown = await self._window(transcript)
        self._view = transcript.view
        if shown.left_out:
            log.info(
                "turn %s: %d parts of the conversation did not fit", self._turn.id, shown.left_out
            )
        self._shows_pictures = any(
            isinstance(each, UserMessage) and each.pictures for each in shown.messages
        )
        self._shown = shown.tokens
        self._too_much = max(self._threshold, int(self._shown * GROWTH))
        if self._shown > self._threshold / 2:
            # From here on it matters how many tokens there really are.
            self._assembly.tokens.wanted(self._turn.model)
        return shown

    def _counts_anew(self) -> None:
        """Count by the best that is known now, the prompt's wrapping and what it shows alike: what
        is learned from a report is about both."""
        count = self._assembly.count(self._turn.model)
        if count != self._count:
            self._count = count
            self._wrapping = self._assembly.wrapping(
                self._turn.model, self.system, self.runtime.specs
            )

    async def _window(self, transcript: Transcript) -> Window:
        return await _beside(transcript, window, transcript, self._limits, self._count)

    async def _move(self, transcript: Transcript, limits: Limits) -> Move | None:
        return await _beside(transcript, move, transcript, limits, self._count)

    @property
    def _threshold(self) -> int:
        """What is shown may grow to this before a mark moves."""
        compaction, most = self._limits.compaction, self._limits.max_prompt_tokens
        return min(compaction.trigger_tokens, most) if compaction is not None else most

    def _is_worth_a_look(self, transcript: Transcript, shown: Window) -> bool:
        """Whether a mark may have to move. Nearly always it is clear that none has."""
        return (
            shown.left_out > 0
            or shown.tokens > self._threshold
            or transcript.view.compaction_wanted is not None
            or len(transcript.entries) > self._limits.most_entries
        )

    def hears(self, message: Said) -> UserMessage:
        """What was said meanwhile, as the model is shown it now and in every later prompt."""
        limits = self._limits
        pictures = frozenset(file.id for file in message.files)
        look = Look(limits.max_document_chars, self._view.fence, limits.pictures, pictures)
        text = said(message.text, message.speaker, message.rights, self._view)
        heard = UserMessage(*with_files(text, message.files, look))
        self._shown += message_weight(heard, self._count)
        self._shows_pictures |= bool(heard.pictures)
        return heard

    def is_outgrown_by(self, event: RuntimeEvent) -> bool:
        """Whether the conversation should be looked at anew before the model is asked again. Never
        between a call and its result."""
        match event:
            case StepEnds(reply):
                if reply.usage.is_credible:
                    counted = self._wrapping + self._shown
                    self._assembly.tokens.learn(
                        self._turn.model, self._count, counted, reply.usage.prompt_tokens
                    )
                texts = (reply.text, *(call.arguments for call in reply.tool_calls))
                self._shown += sum(weight(text, self._count) for text in texts)
            case ToolEnds(_, result):
                text = shorten(result.text, self._limits.max_tool_chars)
                self._shown += weight(text, self._count)
                return not self._steps.account.open_calls and self._shown > self._too_much
            case _:
                pass
        return False

    def try_smaller(self, failure: ModelFailure) -> None:
        """Show less from now on, if that is what the provider wants. Raises `failure` when it is
        not, or when that was tried often enough."""
        if failure.kind is FailureKind.FORMAT and self._shows_pictures:
            # It may be one of them: what only looks like a picture, or a model that does not see.
            log.warning("turn %s: %s; it is shown no pictures", self._turn.id, failure)
            self._limits = replace(self._limits, pictures=None)
            return
        if failure.kind is not FailureKind.CONTEXT_OVERFLOW:
            raise failure
        self._overflows += 1
        if self._overflows > MOST_OVERFLOWS:
            raise ModelFailure(
                failure.kind,
                f"the model says that this conversation is too long for it ({failure}), also after "
                f"I showed it less of it {MOST_OVERFLOWS} times. /new begins anew, /model may know "
                "a model that takes more, and a message in several parts is easier to take",
            ) from failure
        log.warning(
            "turn %s: too much for %s (%s); it is shown less",
            self._turn.id, self._turn.model, failure,
        )  # fmt: skip
        self._limits = self._limits.tightened()

    async def _moves(self, transcript: Transcript, shown: Window) -> bool:
        """Move the marks if it is time; whether any moved."""
        limits = self._allowed(transcript.view, shown)
        wanted = await self._move(transcript, limits)
        failed = False
        if wanted is not None and wanted.plan is not None:
            if await self._sums_up(transcript.view, shown, wanted.plan, wanted.pruned_seq):
                return True
            wanted = await self._move(transcript, replace(limits, compaction=None))
            failed = True
        # An order that came to nothing is carried out all the same.
        order = transcript.view.compaction_wanted if limits.compaction is not None else None
        if order is not None and not failed:
            self._compacting.comes_to_nothing()
        marks = Marks(wanted=order)
        if wanted is not None:
            marks = await self._without_summary(transcript, wanted, order)
        if marks == Marks():
            return False
        await self._steps.move(marks)
        return wanted is not None

    def _allowed(self, view: View, shown: Window) -> Limits:
        """The limits, without summing up where that may not be now."""
        limits = self._limits
        too_early = view.compaction_wanted is None and self._workshop.setbacks.forbid(
            self._turn.session_id, lambda: shown.tokens
        )
        if too_early or not self._compacting.may_keep:
            return replace(limits, compaction=None)
        return limits

    async def _sums_up(self, view: View, shown: Window, plan: Plan, pruned_seq: int) -> bool:
        session = self._turn.session_id
        why: Why = "overflow" if self._overflows else "threshold"
        if view.compaction_wanted is not None:
            why = "order"
        if await self._compacting.sum_up(plan, view, pruned_seq, why):
            self._workshop.setbacks.forget(session)
            return True
        self._workshop.setbacks.note(session, shown.tokens)
        return False

    async def _without_summary(
        self, transcript: Transcript, wanted: Move, order: str | None
    ) -> Marks:
        """The marks of a move that sums nothing up. What leaves goes into memory first, where there
        is one; while it cannot, prompts begin where they began."""
        view = transcript.view
        pruned_seq = wanted.pruned_seq if wanted.pruned_seq > view.pruned_seq else 0
        begin_seq = wanted.begin_seq if wanted.begin_seq > view.begin_seq else 0
        if begin_seq and not await self._compacting.keeps(transcript, begin_seq):
            # A provider's word leaves no choice.
            begin_seq = begin_seq if self._overflows else 0
        if begin_seq:
            # What could not be summed up is gone: it is another conversation now.
            self._workshop.setbacks.forget(self._turn.session_id)
        return Marks(pruned_seq, begin_seq, wanted=order)


async def _beside(
    transcript: Transcript, look: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Look at a conversation, in a thread if it is long."""
    if len(transcript.entries) > MOST_ON_THE_LOOP:
        return await asyncio.to_thread(look, *args, **kwargs)
    return look(*args, **kwargs)
