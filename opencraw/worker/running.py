"""One turn, from its claim to its settlement."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from opencraw import crashpoints
from opencraw.context.assembly import MOST_ENTRIES
from opencraw.context.window import Window
from opencraw.contract import Draft
from opencraw.errors import Fenced, ModelFailure, Unavailable
from opencraw.events import (
    Event,
    QueueChanged,
    ToolShown,
    ToolState,
    TurnEnded,
    TurnStarted,
)
from opencraw.model import (
    AssistantMessage,
    ModelReply,
    StillWorking,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    Usage,
    UserMessage,
)
from opencraw.queue.failures import Failure, Fault
from opencraw.queue.inbox import Lane, Message
from opencraw.queue.modes import Meeting, heard, meets_running_turn
from opencraw.queue.turns import Settlement, TranscriptLine, Turn
from opencraw.runtime.loop import Brief, RuntimeEvent, StepBegins, StepEnds, ToolBegins, ToolEnds
from opencraw.settings import Mode
from opencraw.worker.account import Account
from opencraw.worker.workshop import Doing, Workshop

log = logging.getLogger(__name__)

#: A turn whose process died so often, or gave it up on a defect, may be the cause. It is given up
#: with words, so that it cannot block its lane, or kill the daemon, for ever.
MOST_DEATHS = 8
#: What was cancelled and goes on all the same is left to itself after so long.
CANCEL_SECONDS = 5.0
_LOOK_AGAIN_SECONDS = 1.0
_SUMMARY = 200


@dataclass(frozen=True, slots=True)
class Stopped:
    """A person, or a newer message, ended the turn."""


@dataclass(frozen=True, slots=True)
class Stuck:
    """It showed no sign of life while it was at this."""

    what: str


class Running:
    """A turn in our hands. `run` brings it to its end; `stop` ends it early."""

    def __init__(
        self, workshop: Workshop, turn: Turn, mode: Mode, took: Callable[[int], None]
    ) -> None:
        self.turn = turn
        self.mode = mode
        self._workshop = workshop
        #: Is told how many waiting messages this turn took up on its way.
        self._took = took
        self._account = Account(turn)
        self._spoken_to = False
        self._contradicted = asyncio.Event()
        #: Why the turn ends before its work is done.
        self._ending: Stopped | Stuck | None = Stopped() if turn.stop_requested else None
        self._recalled = False
        self._work: asyncio.Task[Settlement] | None = None
        #: The work takes no notice of its end and goes on by itself.
        self._left_behind = False
        self.doing = Doing("reading the conversation")

    @property
    def draft(self) -> Draft:
        return Draft(self.turn.id, self.turn.attempt, self._account.draft.text)

    def stop(self) -> None:
        """End the turn now: what it has said is kept and flagged, open calls are closed."""
        if self._ending is None:
            self._end(Stopped())

    def end_if_stuck(self, now: float) -> None:
        """End the turn if it shows no sign of life; its messages are answered with the reason."""
        if now < self.doing.until or self._ending is not None or self._work is None:
            return
        what = self.doing.what
        log.error(
            "turn %s shows no sign of life while %s; it is ended with a notice, its lane goes on",
            self.turn.id,
            what,
        )
        self._end(Stuck(what))

    def _end(self, reason: Stopped | Stuck) -> None:
        self._ending = reason
        if self._work is not None:
            self._work.cancel()

    def spoken_to(self, rights: str) -> None:
        """A message of somebody with these rights reached the lane."""
        match meets_running_turn(self.mode):
            case Meeting.STEER:
                self._spoken_to = True
            case Meeting.INTERRUPT if rights == self.turn.rights:
                self._contradicted.set()
            case _:
                pass

    async def hearing(self) -> bool:
        """Whether somebody spoke whom this turn may hear."""
        if self._spoken_to:
            self._spoken_to = False
            audible = await self._audible()
            self._spoken_to |= bool(audible)
        return self._spoken_to

    async def hear(self) -> Sequence[UserMessage]:
        """Take up what was said meanwhile, as far as this turn may."""
        if not self._spoken_to:
            return ()
        self._spoken_to = False
        audible = await self._audible()
        if not audible:
            return ()
        wanted = [each.id for each in audible]
        taken = await self._advance((), hears=wanted)
        self._took(len(taken))
        self._show(QueueChanged())
        return [UserMessage(text) for text in await self._workshop.inbox.texts(taken)]

    async def _audible(self) -> Sequence[Message]:
        lane = await self._lane()
        if lane is None:
            return ()
        wanted = heard(self.mode, self.turn.rights, lane.arrivals)
        return [each for each in lane.messages if each.id in wanted]

    async def run(self) -> None:
        """Bring the turn to its end. Cancelling hands it over: it goes on elsewhere or later."""
        self._show(TurnStarted(self.turn.id, self.turn.attempt))
        self._work = asyncio.ensure_future(self._work_it())
        watch = asyncio.ensure_future(self._watch())
        try:
            if self._ending is not None:
                self._work.cancel()
            await self._ended(self._work)
            settlement = await self._settlement(self._work)
            crashpoints.reach("llm_done_before_commit")
            delivery = await self._workshop.turns.settle(self.turn, settlement)
        except Fenced as lost:
            log.warning("%s", lost)
            self._show(TurnEnded(self.turn.id, self.turn.attempt, "failed"))
            return
        finally:
            watch.cancel()
            if not self._left_behind:
                self._work.cancel()
                await asyncio.wait([self._work, watch], timeout=CANCEL_SECONDS)
                self._leave_behind(self._work)
        crashpoints.reach("commit_before_deliver")
        self._show(TurnEnded(self.turn.id, self.turn.attempt, settlement.state))
        if delivery is not None:
            self._workshop.deliver(delivery)

    async def _watch(self) -> None:
        """End the turn once a message that interrupts it really waits. Word of a message may come
        when this turn has taken it up already, and nothing interrupts its own answer."""
        while True:
            await self._contradicted.wait()
            self._contradicted.clear()
            try:
                if await self._is_overtaken():
                    self.stop()
            except Exception:
                # The turn must not become deaf; what interrupts it still waits.
                log.exception("turn %s: looking at its lane, soon again", self.turn.id)
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)
                self._contradicted.set()

    async def _ended(self, work: asyncio.Task[Settlement]) -> None:
        """Return when the work has ended, or was cancelled and takes no notice of it."""
        while not work.done() and not self._left_behind:
            cancelling = work.cancelling()
            # asyncio.wait would not tell that a task was asked to end.
            await asyncio.wait([work], timeout=CANCEL_SECONDS)
            if cancelling and not work.done():
                self._leave_behind(work)

    def _leave_behind(self, work: asyncio.Task[Settlement]) -> None:
        """Wait no longer for work that was cancelled, if it goes on all the same."""
        if work.done():
            return
        log.error("turn %s: %s does not end; it is left to itself", self.turn.id, self.doing.what)
        self._left_behind = True
        # Whatever becomes of it, nobody will ask.
        work.add_done_callback(lambda ended: ended.cancelled() or ended.exception())

    async def _settlement(self, work: asyncio.Task[Settlement]) -> Settlement:
        if work.done() and not work.cancelled():
            return await work
        match self._ending:
            case Stopped():
                return await self._cut_short()
            case Stuck(what):
                halt = f"the work on it came to a halt ({what})"
                return self._failed(Failure(Fault.STUCK, what), halt)
            case None:
                # Nobody asked for it: something below cancelled itself.
                broken = Failure(Fault.INTERNAL, "cancelled")
                return self._failed(broken, "the work on it broke off")

    async def _work_it(self) -> Settlement:
        """The turn's own work. Whatever goes wrong in it becomes words for the person, except what
        only means that it has to be done again, here or elsewhere."""
        try:
            return await self._converse()
        except ModelFailure as failure:
            log.warning("turn %s: %s: %s", self.turn.id, failure.kind, failure)
            return self._failed(Failure(failure.kind, str(failure)), str(failure))
        except (Fenced, Unavailable):
            raise
        except Exception as error:
            log.exception("turn %s failed", self.turn.id)
            return self._failed(
                Failure(Fault.INTERNAL, type(error).__name__),
                f"something in OpenCraw went wrong (turn {self.turn.id})",
            )

    async def _converse(self) -> Settlement:
        if self.turn.deaths >= MOST_DEATHS:
            # Not even the conversation is read: that may be what they died of.
            return self._failed(
                Failure(Fault.DEATHS),
                f"my process broke off {self.turn.deaths} times while I worked on it",
            )
        window = await self._recall()
        if self.turn.attempt > 1 and await self._is_overtaken():
            return await self._cut_short()
        runtime = self._workshop.runtime(self.turn.model)
        system = self._workshop.assembly.system
        last: ModelReply | None = None
        purse = self._workshop.purse(self.turn)
        brief = Brief(self.turn.asker, system, window.messages, window.open_calls)
        run = runtime.run(brief, self, purse)
        async with aclosing(run) as events:
            async for event in events:
                self._end_if_asked_to()
                if isinstance(event, TextDelta):
                    self._waits_for_model()
                    self._show(self._account.draft.grow(event.text))
                    crashpoints.reach("mid_stream")
                elif isinstance(event, ThinkingDelta | StillWorking):
                    self._waits_for_model()
                elif isinstance(event, StepEnds) and not event.reply.tool_calls:
                    last = event.reply
                else:
                    await self._write_down(event)
        assert last is not None, "a runtime ended without a last step"
        return self._account.done(last)

    async def _cut_short(self) -> Settlement:
        """The turn ends because a person said so."""
        if not self._recalled:
            await self._recall()
        self._show_cancelled()
        return self._account.cut_short()

    def _failed(self, failure: Failure, cause: str) -> Settlement:
        self._show_cancelled()
        return self._account.failed(failure, cause)

    def _show_cancelled(self) -> None:
        for call in self._account.open_calls.values():
            self._show_tool(call, "cancelled", "")

    def _end_if_asked_to(self) -> None:
        """End at last, if a tool or a model swallowed the word that the turn is to end."""
        if self._work is not None and self._work.cancelling():
            raise asyncio.CancelledError

    async def _recall(self) -> Window:
        """Read the conversation. What earlier attempts at this turn brought to an end counts, and
        the calls that they left open are ours to close."""
        assembly = self._workshop.assembly
        transcript = await self._workshop.sessions.transcript(
            self.turn.session_id, longest=assembly.longest_text, limit=MOST_ENTRIES
        )
        window = assembly.window(transcript)
        self._account.recall(transcript.entries, window)
        self._recalled = True
        return window

    async def _write_down(self, event: RuntimeEvent) -> None:
        """Put a step on record. Only then is the next one taken."""
        match event:
            case StepBegins():
                await self._step_begins()
            case StepEnds(reply):
                await self._step_ends(reply)
            case ToolBegins(call):
                await self._tool_begins(call)
            case ToolEnds():
                await self._tool_ends(event)

    async def _is_overtaken(self) -> bool:
        """Whether a message waits that interrupts this turn."""
        if meets_running_turn(self.mode) is not Meeting.INTERRUPT:
            return False
        lane = await self._lane()
        return lane is not None and any(each.rights == self.turn.rights for each in lane.messages)

    async def _lane(self) -> Lane | None:
        lanes = await self._workshop.inbox.waiting([self.turn.session_id])
        return lanes[0] if lanes else None

    def _waits_for_model(self) -> None:
        now = asyncio.get_running_loop().time()
        self.doing = Doing("waiting for the model", now + self._workshop.patience.model)

    async def _step_begins(self) -> None:
        if not self._workshop.node.holds_lease:
            # Somebody else may be at work on this turn: the fence tells.
            await self._advance(())
        self._account.draft.begin_step()
        self._waits_for_model()

    async def _advance(
        self, lines: Sequence[TranscriptLine], usage: Usage = Usage(), hears: Sequence[int] = ()
    ) -> Sequence[int]:
        self.doing = Doing("writing to the database")
        return await self._workshop.turns.advance(self.turn, lines, usage, hears)

    async def _step_ends(self, reply: ModelReply) -> None:
        self._account.step(reply)
        line = TranscriptLine.of(AssistantMessage(reply.text, reply.tool_calls, reply.thinking))
        await self._advance([line], reply.usage)

    async def _tool_begins(self, call: ToolCall) -> None:
        line = TranscriptLine("tool_started", call_id=call.id, tool_name=call.name)
        await self._advance([line])
        now = asyncio.get_running_loop().time()
        self.doing = Doing(f"running the tool {call.name}", now + self._workshop.patience.tool)
        self._show_tool(call, "started", call.arguments)
        crashpoints.reach("tool_started")

    async def _tool_ends(self, event: ToolEnds) -> None:
        crashpoints.reach("tool_done")
        result = event.result
        self._account.open_calls.pop(event.call.id, None)
        line = TranscriptLine(
            "tool_result",
            text=result.text,
            call_id=result.call_id,
            tool_name=result.name,
            failed=result.failed,
        )
        await self._advance([line])
        self._show_tool(event.call, "failed" if result.failed else "finished", result.text)

    def _show(self, event: Event) -> None:
        self._workshop.show(self.turn.address, event)

    def _show_tool(self, call: ToolCall, state: ToolState, summary: str) -> None:
        if len(summary) > _SUMMARY:
            summary = summary[:_SUMMARY] + "…"
        turn = self.turn
        self._show(ToolShown(turn.id, turn.attempt, call.id, call.name, state, summary))
