"""The loop, played to its end in a world of tools, and what it did in words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing

from opencraw.context.blocks import OpenCall
from opencraw.hooks import Hooks
from opencraw.model import (
    Message,
    TextDelta,
    ToolMessage,
    UserMessage,
)
from opencraw.runtime.loop import (
    Brief,
    Loop,
    LoopLimits,
    RuntimeEvent,
    StepBegins,
    StepEnds,
    ToolBegins,
    ToolEnds,
)
from opencraw.runtime.purse import Purse
from opencraw.sessions.asker import Asker
from opencraw.tools.builtin import calculate
from opencraw.tools.registry import Risk, Tool, Toolbox, tool
from tests.fixtures.askers import SOMEBODY
from tests.fixtures.script import Script

HELLO = (UserMessage("hello"),)
LIMITS = LoopLimits(tool_loops_max=3, tool_max_runtime_seconds=5.0, max_tool_chars=1_000)


class Deaf:
    """Nobody speaks."""

    async def hearing(self) -> bool:
        return False

    async def hear(self) -> Sequence[UserMessage]:
        return ()


class Spoken(Deaf):
    """Somebody speaks when a test says so."""

    def __init__(self) -> None:
        self.said: list[UserMessage] = []

    async def hearing(self) -> bool:
        return bool(self.said)

    async def hear(self) -> Sequence[UserMessage]:
        said, self.said = self.said, []
        return said


class World:
    """What the effects of tools leave behind."""

    def __init__(self) -> None:
        self.effects: list[str] = []

    def tools(self) -> tuple[Tool, ...]:
        effects = self.effects

        @tool(risk=Risk.EFFECT)
        async def write(what: str) -> str:
            """Write something down."""
            effects.append(f"write {what}")
            return f"wrote {what}"

        @tool(risk=Risk.READ)
        async def read() -> str:
            """Read what is written."""
            effects.append("read")
            return "it reads"

        @tool(risk=Risk.READ)
        async def broken() -> str:
            """Fail."""
            raise LookupError("no such page")

        @tool(risk=Risk.READ)
        async def impatient() -> str:
            """Fail as a library does that waited for something else."""
            raise TimeoutError("the server did not answer")

        @tool(risk=Risk.READ)
        async def quitter() -> str:
            """Cancel oneself."""
            raise asyncio.CancelledError

        @tool(risk=Risk.READ)
        async def endless() -> str:
            """Never end."""
            try:
                await asyncio.Event().wait()
            finally:
                effects.append("cleaned up")
            return ""

        @tool(risk=Risk.READ)
        async def talkative() -> str:
            """Say too much."""
            return "\x00\ud800" + "a" * 5_000

        @tool(risk=Risk.READ, outside=True)
        async def page(text: str, breaks: bool = False) -> str:
            """Bring in what somebody wrote."""
            if breaks:
                raise LookupError(text)
            return text

        return (write, read, broken, impatient, quitter, endless, talkative, page, calculate)


async def play(
    world: World,
    script: Script,
    *,
    history: Sequence[Message] = HELLO,
    open_calls: Sequence[OpenCall] = (),
    ears: Deaf | None = None,
    limits: LoopLimits = LIMITS,
    purse: Purse | None = None,
    hooks: Hooks | None = None,
    asker: Asker = SOMEBODY,
    mark: str = "",
    at: Callable[[RuntimeEvent], None] = lambda _: None,
) -> list[RuntimeEvent]:
    """Run the loop to its end; `at` is called with each event when it is written down."""
    loop = Loop(script, Toolbox(world.tools()), limits, hooks)
    events = []
    brief = Brief(asker, "system", history, open_calls, mark=mark)
    run = loop.run(brief, ears or Deaf(), purse)
    async with aclosing(run) as running:
        async for event in running:
            at(event)
            events.append(event)
    assert not script.objections
    return events


def shape(events: Sequence[RuntimeEvent]) -> list[str]:
    """The events in a word each."""
    words = []
    for event in events:
        match event:
            case TextDelta(text):
                words.append(f"text {text.strip()}")
            case StepBegins():
                words.append("step begins")
            case StepEnds(reply):
                words.append(f"step ends {reply.text}".strip())
            case ToolBegins(call):
                words.append(f"{call.name} begins")
            case ToolEnds(call, result):
                words.append(f"{call.name} {'fails' if result.failed else 'ends'}")
    return words


def results(script: Script, prompt: int = -1) -> list[tuple[str, str, bool]]:
    """What the model was told about its calls."""
    return [
        (message.name, message.text, message.failed)
        for message in script.prompts[prompt].messages
        if isinstance(message, ToolMessage)
    ]
