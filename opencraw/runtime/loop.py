"""The built-in runtime: history in, events out. It owns nothing.

The caller consumes events one by one and writes each down before it asks for the next, so a step is
on record before the next one is taken: the model's step before its tools run, a tool's start before
its effect, its result before the model reads it.

Steering is a question the loop asks: before each tool call starts, and before each model call.
Hooks are asked after it, before a call begins, so what they deny was never announced.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from opencraw import crashpoints
from opencraw.context.blocks import OpenCall, shorten
from opencraw.context.notes import note
from opencraw.errors import FailureKind, ModelFailure
from opencraw.fence import fence
from opencraw.hooks import Denied, Hooks
from opencraw.model import (
    AssistantMessage,
    Message,
    ModelReply,
    Prompt,
    Provider,
    StillWorking,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolMessage,
    ToolSpec,
    UserMessage,
)
from opencraw.runtime.checks import Checks
from opencraw.runtime.purse import Purse, paid
from opencraw.runtime.retries import pause_before_retry
from opencraw.sessions.asker import Asker
from opencraw.store.text import storable
from opencraw.tools.registry import ArgumentsInvalid, Risk, Tool, Toolbox


@dataclass(frozen=True, slots=True)
class StepBegins:
    """A model is about to be asked. Text of an earlier try at this step is void."""


@dataclass(frozen=True, slots=True)
class StepEnds:
    """A model's step is complete. With tool calls the loop goes on, without it ends."""

    reply: ModelReply


@dataclass(frozen=True, slots=True)
class ToolBegins:
    """A tool is about to run. Once this event is taken, it may have had its effect."""

    call: ToolCall


@dataclass(frozen=True, slots=True)
class ToolEnds:
    """A tool call has its result."""

    call: ToolCall
    result: ToolMessage


RuntimeEvent = (
    StepBegins | TextDelta | ThinkingDelta | StillWorking | StepEnds | ToolBegins | ToolEnds
)


class Ears(Protocol):
    """What was said to a turn while it runs."""

    async def hearing(self) -> bool:
        """Whether somebody spoke whom this turn may hear. Costs nothing while nobody does."""
        ...

    async def hear(self) -> Sequence[UserMessage]:
        """Take up what was said, if anything; it is on record when this returns."""
        ...


@dataclass(frozen=True, slots=True)
class Brief:
    """What a turn begins with. `open_calls` are the calls at the end of `messages` that have no
    result yet: a turn that was broken off in the middle of its tools goes on with them."""

    asker: Asker
    system: str
    messages: Sequence[Message]
    open_calls: Sequence[OpenCall] = ()
    #: How often the turn has asked for tools already: a turn that goes on begins no new count.
    rounds: int = 0
    #: Part of the marks around what tools bring in from outside.
    mark: str = ""


@dataclass(frozen=True, slots=True)
class LoopLimits:
    """How far one turn may go."""

    tool_loops_max: int
    tool_max_runtime_seconds: float
    max_tool_chars: int


class Loop:
    """Asks a model, runs its tools, asks again, until it answers without a call."""

    def __init__(
        self, provider: Provider, toolbox: Toolbox, limits: LoopLimits, hooks: Hooks | None = None
    ) -> None:
        self._provider = provider
        self._toolbox = toolbox
        self._limits = limits
        self._checks = Checks(hooks or Hooks())

    @property
    def specs(self) -> Sequence[ToolSpec]:
        """The tools that every prompt of a turn offers."""
        return self._toolbox.specs

    async def run(
        self, brief: Brief, ears: Ears, purse: Purse | None = None
    ) -> AsyncGenerator[RuntimeEvent]:
        """Run one turn. Raises `ModelFailure` when the model cannot be made to answer. Without a
        `purse` nobody counts what the model costs."""
        messages = list(brief.messages)
        calls = brief.open_calls
        rounds = brief.rounds
        while True:
            async with aclosing(self._answer(brief, calls, ears, rounds)) as results:
                async for event in results:
                    if isinstance(event, ToolEnds):
                        messages.append(self._as_shown(event.result))
                    yield event
            messages.extend(await ears.hear())
            reply: ModelReply | None = None
            prompt = Prompt(brief.system, tuple(messages), self._toolbox.specs)
            async with aclosing(self.ask(prompt, purse)) as steps:
                async for step in steps:
                    if isinstance(step, StepEnds):
                        reply = step.reply
                    yield step
            if reply is None or not reply.tool_calls:
                return
            messages.append(AssistantMessage(reply.text, reply.tool_calls, reply.thinking))
            calls = [OpenCall(call, started=False) for call in reply.tool_calls]
            rounds += 1
            if rounds > self._limits.tool_loops_max + 1:
                raise ModelFailure(
                    FailureKind.FORMAT, "the model kept calling tools instead of answering"
                )

    def _as_shown(self, result: ToolMessage) -> ToolMessage:
        """A result as the model sees it now, which is how the window will show it later."""
        text = shorten(result.text, self._limits.max_tool_chars)
        return ToolMessage(result.call_id, result.name, text, result.failed)

    async def ask(self, prompt: Prompt, purse: Purse | None) -> AsyncGenerator[RuntimeEvent]:
        """One step of the model, tried again where that helps. Raises `ModelFailure`."""
        clock = asyncio.get_running_loop().time
        began = clock()
        tries = 0
        while True:
            tries += 1
            # Before the step begins: waiting for our own database is not waiting for the model.
            pay = await purse.admit(prompt) if purse is not None else None
            yield StepBegins()
            crashpoints.reach("before_llm")
            try:
                stream = self._provider.stream(prompt)
                async with aclosing(paid(stream, pay) if pay else stream) as events:
                    async for event in events:
                        yield StepEnds(event) if isinstance(event, ModelReply) else event
                return
            except ModelFailure as failure:
                pause = pause_before_retry(failure, tries, clock() - began, random.random())  # noqa: S311 - spreads load, guards nothing
                if pause is None:
                    raise
            await asyncio.sleep(pause)

    async def _answer(
        self, brief: Brief, calls: Sequence[OpenCall], ears: Ears, rounds: int
    ) -> AsyncGenerator[RuntimeEvent]:
        """Give every call a result, in order."""
        for open_call in calls:
            call = open_call.call
            tool = self._toolbox.get(call.name)
            if open_call.started and (tool is None or tool.risk is not Risk.READ):
                yield _not_run(call, "tool_uncertain")
            elif tool is None:
                yield _not_run(call, "tool_unknown")
            elif rounds > self._limits.tool_loops_max:
                yield _not_run(call, "tool_limit")
            elif await ears.hearing():
                yield _not_run(call, "tool_skipped")
            else:
                async with aclosing(self._do(tool, call, brief)) as events:
                    async for event in events:
                        yield event

    async def _do(self, tool: Tool, call: ToolCall, brief: Brief) -> AsyncGenerator[RuntimeEvent]:
        """Make one call, unless a hook denies it."""
        allowed = await self._checks.before(tool, call, brief.asker)
        if isinstance(allowed, Denied):
            yield _not_run(call, "tool_denied", reason=allowed.reason)
            return
        yield ToolBegins(allowed)
        clock = asyncio.get_running_loop().time
        began = clock()
        result = await self._run_tool(tool, allowed, brief)
        seconds = clock() - began
        yield ToolEnds(allowed, result)
        await self._checks.after(allowed, result, brief.asker, seconds)

    async def _run_tool(self, tool: Tool, call: ToolCall, brief: Brief) -> ToolMessage:
        """A tool's failure is a result that the model reads, never an error of the turn."""
        seconds = self._limits.tool_max_runtime_seconds
        limit = asyncio.timeout(seconds)
        failed = True
        try:
            async with limit:
                text = await tool.run(call.arguments, brief.asker)
            failed = False
        except ArgumentsInvalid as error:
            text = note("tool_arguments", problem=error)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            text = note("tool_failed", problem="it cancelled itself")
        except Exception as error:  # noqa: BLE001 - a tool may raise anything; the model is told
            text = (
                note("tool_timeout", seconds=f"{seconds:g}")
                if limit.expired()
                else note("tool_failed", problem=f"{type(error).__name__}: {error}")
            )
        text = storable(text)
        if tool.outside:
            # Also when it failed: an error may say what a server said.
            text = fence(text, origin=f"tool {call.name}", mark=brief.mark)
        return ToolMessage(call.id, call.name, text, failed)


def _not_run(call: ToolCall, name: str, **values: object) -> ToolEnds:
    return ToolEnds(call, ToolMessage(call.id, call.name, note(name, **values), failed=True))
