"""The steps of a running turn: each is put on record before the next one is taken, and shown."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from uuid import UUID

from opencraw import crashpoints
from opencraw.events import Event, ToolShown, ToolState
from opencraw.hooks import Point
from opencraw.model import AssistantMessage, ModelReply, ToolCall, Usage
from opencraw.queue.turns import Marks, TranscriptLine, Turn
from opencraw.runtime.loop import RuntimeEvent, StepBegins, StepEnds, ToolBegins, ToolEnds
from opencraw.worker.account import Account
from opencraw.worker.fetching import ALL_SECONDS, AT_ONCE, M
from opencraw.worker.workshop import Doing, Workshop

_SUMMARY = 200


class Steps:
    """Writes down what a turn does, and says what it is at."""

    def __init__(self, workshop: Workshop, turn: Turn) -> None:
        self.account = Account(turn)
        self.doing = Doing("reading the conversation")
        #: What this attempt has used up, as far as it is on record.
        self.spent = Usage()
        #: What was used up and is on no record yet. The next write brings it along.
        self.owed = Usage()
        self._workshop = workshop
        self._turn = turn

    async def write_down(self, event: RuntimeEvent) -> None:
        """Put a step on record. Only then is the next one taken."""
        match event:
            case StepBegins():
                await self._still_ours()
                self.account.draft.begin_step()
                self.waits_for_model()
            case StepEnds(reply):
                await self._step_ends(reply)
            case ToolBegins(call):
                await self._tool_begins(call)
            case ToolEnds():
                await self._tool_ends(event)

    @property
    def shown_text(self) -> str:
        """What the turn has said, as far as people may see it already."""
        return "" if self._is_looked_at else self.account.draft.text

    def grow(self, text: str) -> None:
        """The model said more."""
        grown = self.account.draft.grow(text)
        if not self._is_looked_at:
            self.show(grown)

    @property
    def _is_looked_at(self) -> bool:
        # What a hook may hold back is shown to nobody before that.
        return self._workshop.hooks.at(Point.MESSAGE_SENDING)

    async def _still_ours(self) -> None:
        """Before a model is asked: raise `Fenced` if somebody else is at work on this turn."""
        if not self._workshop.node.holds_lease:
            await self.advance(())

    def end_if_asked_to(self) -> None:
        """End at last, if a tool or a model swallowed the word that the turn is to end."""
        work = asyncio.current_task()
        if work is not None and work.cancelling():
            raise asyncio.CancelledError

    def waits_for_model(self, what: str = "waiting for the model") -> None:
        """The model shows a sign of life, or is about to be asked."""
        now = asyncio.get_running_loop().time()
        self.doing = Doing(what, now + self._workshop.patience.model)

    async def advance(
        self, lines: Sequence[TranscriptLine], usage: Usage = Usage(), hears: Sequence[int] = ()
    ) -> Sequence[int]:
        """Add lines to the transcript; see `Turns.advance`."""
        self.doing = Doing("writing to the database")
        usage += self.pay()
        self.spent += usage
        return await self._workshop.turns.advance(self._turn, lines, usage, hears)

    async def fetched(self, files: Sequence[UUID]) -> bool:
        """Have those of these files brought that are still to come. False: there was nothing to do,
        and what was read of them is still true."""
        fetching = self._workshop.fetching
        if fetching is None or not files:
            return False
        if pending := await fetching.pending(files):
            rounds = math.ceil(len(pending) / AT_ONCE) + 1
            now = asyncio.get_running_loop().time()
            self.doing = Doing("fetching files", now + rounds * ALL_SECONDS)
            await fetching.fetch(pending)
            self.doing = Doing("reading the conversation")
        return True

    async def with_pictures(self, messages: Sequence[M]) -> Sequence[M]:
        """The same messages, with the bytes of their pictures."""
        fetching = self._workshop.fetching
        return messages if fetching is None else await fetching.with_pictures(messages)

    async def move(self, marks: Marks, usage: Usage = Usage()) -> None:
        """Change what prompts show of the conversation; see `Turns.move`."""
        self.doing = Doing("writing to the database")
        usage += self.pay()
        self.spent += usage
        await self._workshop.turns.move(self._turn, marks, usage)

    def pay(self) -> Usage:
        """What is owed, for whoever writes it down now."""
        owed, self.owed = self.owed, Usage()
        return owed

    async def _step_ends(self, reply: ModelReply) -> None:
        self.account.step(reply)
        line = TranscriptLine.of(AssistantMessage(reply.text, reply.tool_calls, reply.thinking))
        await self.advance([line], reply.usage)

    async def _tool_begins(self, call: ToolCall) -> None:
        line = TranscriptLine("tool_started", call_id=call.id, tool_name=call.name)
        await self.advance([line])
        now = asyncio.get_running_loop().time()
        self.doing = Doing(f"running the tool {call.name}", now + self._workshop.patience.tool)
        self.show_tool(call, "started", call.arguments)
        crashpoints.reach("tool_started")

    async def _tool_ends(self, event: ToolEnds) -> None:
        crashpoints.reach("tool_done")
        result = event.result
        self.account.open_calls.pop(event.call.id, None)
        line = TranscriptLine(
            "tool_result",
            text=result.text,
            call_id=result.call_id,
            tool_name=result.name,
            failed=result.failed,
        )
        await self.advance([line])
        self.show_tool(event.call, "failed" if result.failed else "finished", result.text)

    def show(self, event: Event) -> None:
        """Show people what happens."""
        self._workshop.show(self._turn.address, event)

    def show_tool(self, call: ToolCall, state: ToolState, summary: str) -> None:
        """Show people what became of a call."""
        if len(summary) > _SUMMARY:
            summary = summary[:_SUMMARY] + "…"
        turn = self._turn
        self.show(ToolShown(turn.id, turn.attempt, call.id, call.name, state, summary))

    def show_cancelled(self) -> None:
        """Show people that the calls which are open come to nothing."""
        for call in self.account.open_calls.values():
            self.show_tool(call, "cancelled", "")
