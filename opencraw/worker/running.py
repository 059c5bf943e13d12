"""One turn, from its claim to its settlement."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from opencraw import crashpoints
from opencraw.context.assembly import MOST_ENTRIES
from opencraw.context.window import Window
from opencraw.contract import Draft
from opencraw.errors import Fenced, ModelFailure, Unavailable
from opencraw.events import QueueChanged, TurnEnded, TurnStarted
from opencraw.model import (
    ModelReply,
    StillWorking,
    TextDelta,
    ThinkingDelta,
    UserMessage,
)
from opencraw.queue.failures import Failure, Fault
from opencraw.queue.inbox import Lane, Message, Said
from opencraw.queue.modes import Meeting, heard, meets_running_turn
from opencraw.queue.turns import Settlement, Turn
from opencraw.runtime.loop import Brief, StepEnds
from opencraw.sessions.transcript import Transcript
from opencraw.sessions.voice import Voice
from opencraw.settings import Mode
from opencraw.worker.fitting import Fitting
from opencraw.worker.onlookers import tell_ended, tell_started
from opencraw.worker.recalling import brought_up
from opencraw.worker.steps import Steps
from opencraw.worker.workshop import Doing, Workshop

log = logging.getLogger(__name__)

#: A turn whose process died so often, or gave it up on a defect, may be the cause. It is given up
#: with words, so that it cannot block its lane, or kill the daemon, for ever.
MOST_DEATHS = 8
#: What was cancelled and goes on all the same is left to itself after so long.
CANCEL_SECONDS = 5.0
_LOOK_AGAIN_SECONDS = 1.0


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
        self._steps = Steps(workshop, turn)
        self._account = self._steps.account
        self._spoken_to = False
        self._contradicted = asyncio.Event()
        #: Why the turn ends before its work is done.
        self._ending: Stopped | Stuck | None = Stopped() if turn.stop_requested else None
        #: What its model is shown, once that is known.
        self._fitting: Fitting | None = None
        #: What earlier attempts did is known.
        self._was_read = False
        self._work: asyncio.Task[Settlement] | None = None
        #: The work takes no notice of its end and goes on by itself.
        self._left_behind = False

    @property
    def doing(self) -> Doing:
        """What it is at."""
        return self._steps.doing

    @property
    def draft(self) -> Draft:
        return Draft(self.turn.id, self.turn.attempt, self._steps.shown_text)

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

    def spoken_to(self, voice: Voice) -> None:
        """A message of this voice reached the lane."""
        match meets_running_turn(self.mode):
            case Meeting.STEER:
                self._spoken_to = True
            case Meeting.INTERRUPT if voice == self.turn.voice:
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
        taken = await self._steps.advance((), hears=wanted)
        self._took(len(taken))
        self._steps.show(QueueChanged())
        said = await self._said(taken)
        awaited = [file.id for each in said for file in each.files if file.is_awaited]
        if await self._steps.fetched(awaited):
            said = await self._said(taken)
        for each in said:
            self._account.came_with(each.files)
        assert self._fitting is not None, "a turn is given ears when it is shown something"
        return await self._steps.with_pictures([self._fitting.hears(each) for each in said])

    async def _said(self, ids: Sequence[int]) -> Sequence[Said]:
        longest = self._workshop.assembly.longest_text
        return await self._workshop.inbox.texts(ids, longest=longest)

    async def _audible(self) -> Sequence[Message]:
        lane = await self._lane()
        if lane is None:
            return ()
        wanted = heard(self.mode, self.turn.voice, lane.arrivals)
        return [each for each in lane.messages if each.id in wanted]

    async def run(self) -> None:
        """Bring the turn to its end. Cancelling hands it over: it goes on elsewhere or later."""
        clock = asyncio.get_running_loop().time
        began = clock()
        self._steps.show(TurnStarted(self.turn.id, self.turn.attempt))
        self._work = asyncio.ensure_future(self._work_it())
        watch = asyncio.ensure_future(self._watch())
        try:
            if self._ending is not None:
                self._work.cancel()
            await self._ended(self._work)
            settlement = await self._settlement(self._work)
            settlement = replace(settlement, usage=settlement.usage + self._steps.pay())
            self._steps.doing = Doing("writing to the database")
            crashpoints.reach("llm_done_before_commit")
            delivery = await self._workshop.turns.settle(self.turn, settlement)
        except Fenced as lost:
            log.warning("%s", lost)
            self._steps.show(TurnEnded(self.turn.id, self.turn.attempt, "failed"))
            return
        finally:
            watch.cancel()
            if not self._left_behind:
                self._work.cancel()
                await asyncio.wait([self._work, watch], timeout=CANCEL_SECONDS)
                self._leave_behind(self._work)
        crashpoints.reach("commit_before_deliver")
        self._steps.show(TurnEnded(self.turn.id, self.turn.attempt, settlement.state))
        if delivery is not None:
            self._workshop.deliver(delivery)
        spent = self._steps.spent + settlement.usage
        self._steps.doing = Doing("telling hooks how it ended")
        await tell_ended(self._workshop.hooks, self.turn, settlement, spent, clock() - began)

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
            self._account.leaves_open(await self._workshop.turns.open_calls(self.turn))
            return self._failed(
                Failure(Fault.DEATHS),
                f"my process broke off {self.turn.deaths} times while I worked on it",
            )
        await tell_started(self._workshop.hooks, self.turn)
        transcript = await self._read()
        if self._is_forgotten(transcript) or (self.turn.attempt > 1 and await self._is_overtaken()):
            return await self._cut_short()
        if await self._steps.fetched(transcript.awaited_files):
            transcript = await self._read()
        for entry in transcript.entries:
            if entry.turn_id == self.turn.id:
                self._account.came_with(entry.files)
        if line := await brought_up(self._workshop, self.turn, transcript):
            await self._steps.advance([line])
            transcript = await self._read()
        system = await asyncio.to_thread(self._workshop.assembly.system, self.turn.asker)
        self._fitting = fitting = Fitting(self._workshop, self.turn, self._steps, system)
        while True:
            window = await fitting.window(transcript, self._read)
            last = await self._play(window, fitting, transcript.view.fence)
            if last is not None:
                return self._account.done(last)
            transcript = await self._read()

    async def _play(self, window: Window, fitting: Fitting, mark: str) -> ModelReply | None:
        """Let the turn go on from what this window shows. Returns its last step, or None when the
        conversation has to be looked at anew, because it has outgrown its window."""
        last: ModelReply | None = None
        shown = await self._steps.with_pictures(window.messages)
        brief = Brief(
            self.turn.asker, fitting.system, shown, window.open_calls,
            self._account.rounds, mark,
        )  # fmt: skip
        try:
            async with aclosing(fitting.runtime.run(brief, self, fitting.purse)) as events:
                async for event in events:
                    self._steps.end_if_asked_to()
                    if isinstance(event, TextDelta):
                        self._steps.waits_for_model()
                        self._steps.grow(event.text)
                        crashpoints.reach("mid_stream")
                    elif isinstance(event, ThinkingDelta | StillWorking):
                        self._steps.waits_for_model()
                    elif isinstance(event, StepEnds) and not event.reply.tool_calls:
                        last = event.reply
                    else:
                        await self._steps.write_down(event)
                    if fitting.is_outgrown_by(event):
                        return None
        except ModelFailure as failure:
            fitting.try_smaller(failure)
            return None
        assert last is not None, "a runtime ended without a last step"
        return last

    async def _cut_short(self) -> Settlement:
        """The turn ends because a person said so."""
        if not self._was_read:
            await self._read()
        self._steps.show_cancelled()
        return self._account.cut_short()

    def _failed(self, failure: Failure, cause: str) -> Settlement:
        self._steps.show_cancelled()
        return self._account.failed(failure, cause)

    async def _read(self) -> Transcript:
        """Read the conversation. What earlier attempts at this turn brought to an end counts, and
        the calls that they left open are ours to close."""
        assembly = self._workshop.assembly
        transcript = await self._workshop.sessions.transcript(
            self.turn.session_id, longest=assembly.longest_text, limit=MOST_ENTRIES
        )
        if not self._was_read:
            self._account.recall(transcript.entries)
            self._was_read = True
        return transcript

    def _is_forgotten(self, transcript: Transcript) -> bool:
        """Whether the conversation began anew after this turn did: word of its end is on its way,
        and of what it was asked there is nothing any more."""
        return all(entry.turn_id != self.turn.id for entry in transcript.entries)

    async def _is_overtaken(self) -> bool:
        """Whether a message waits that interrupts this turn."""
        if meets_running_turn(self.mode) is not Meeting.INTERRUPT:
            return False
        lane = await self._lane()
        return lane is not None and any(each.voice == self.turn.voice for each in lane.messages)

    async def _lane(self) -> Lane | None:
        lanes = await self._workshop.inbox.waiting([self.turn.session_id])
        return lanes[0] if lanes else None
