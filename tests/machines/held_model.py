"""A model that says nothing until it is told what, and tools that end when they are told to.

It is one of the witnesses: it knows what it was asked, and whether two parts of one conversation
were ever at work at the same time. A message carries its name as `<<a-7>>`, an answer its number.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from opencraw.errors import FailureKind, ModelFailure
from opencraw.model import ModelEvent, ModelReply, Prompt, Provider, TextDelta, Usage, UserMessage
from opencraw.tools.registry import Risk, Tool, tool
from tests.fixtures.ledgers import names_in
from tests.fixtures.script import calls, objections

#: What the model does when it is released: it answers, asks for tools, or fails for good.
Step = Literal["answer", "read", "act", "act twice", "fail"]
STEPS: tuple[Step, ...] = ("answer", "answer", "answer", "read", "act", "act twice", "fail")

_NUMBER = re.compile(r"answer (\d+)\b")


def answers_in(text: str) -> list[int]:
    """The numbers of the model's steps of which a delivery is made."""
    return [int(number) for number in _NUMBER.findall(text)]


@dataclass
class Call:
    """One step that the model was asked for."""

    number: int
    chat: str
    #: The messages that it was shown.
    names: frozenset[str]
    step: asyncio.Future[Step] = field(default_factory=asyncio.Future)


class HeldModel(Provider):
    """Holds each step, and each tool, until it is released; all at once when it `is_free`."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.effects: Counter[str] = Counter()
        self.faults: list[str] = []
        #: Conversations in which a step failed.
        self.failed: set[str] = set()
        self._at_work: dict[str, list[Call | asyncio.Event]] = {}
        self.left_behind: list[Call | asyncio.Event] = []
        self.is_free = False

    def is_held(self, chat: str) -> bool:
        """Whether something of this conversation waits to be released."""
        at_work = self._at_work.get(chat, ())
        return not self.is_free and any(not _is_released(work) for work in at_work)

    def release(self, chat: str, step: Step) -> None:
        """Let the model, or the tool, that is at work in this conversation go on."""
        for work in self._at_work.get(chat, ()):
            _go_on(work, step)

    def leave_behind(self, chat: str) -> None:
        """What is at work in this conversation belongs to a node that was given up: it may meet
        what its heir does."""
        self.left_behind += self._at_work.pop(chat, ())

    def release_left_behind(self, step: Step) -> None:
        """Let all of that go on."""
        for work in self.left_behind:
            _go_on(work, step)

    def release_all(self) -> None:
        """From now on everything is answered at once."""
        self.is_free = True
        for chat in self._at_work:
            self.release(chat, "answer")

    @contextmanager
    def _working(self, chat: str, work: Call | asyncio.Event) -> Iterator[None]:
        at_work = self._at_work.setdefault(chat, [])
        if at_work:
            self.faults.append(f"two parts of conversation {chat} were at work at the same time")
        at_work.append(work)
        try:
            yield
        finally:
            (self.left_behind if work in self.left_behind else at_work).remove(work)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[ModelEvent]:
        self.faults += objections(prompt.messages)
        said = [each.text for each in prompt.messages if isinstance(each, UserMessage)]
        names = [name for text in said for name in names_in(text)]
        chat = names[-1].partition("-")[0]
        call = Call(len(self.calls) + 1, chat, frozenset(names))
        self.calls.append(call)
        with self._working(chat, call):
            if self.is_free:
                call.step.set_result("answer")
            yield TextDelta(f"answer {call.number} ")
            match await call.step:
                case "answer":
                    yield ModelReply(f"answer {call.number} to {names[-1]}", usage=Usage(3, 2))
                case "fail":
                    self.failed.add(chat)
                    raise ModelFailure(FailureKind.AUTH, f"answer {call.number} is none")
                case "read" | "act" as name:
                    yield self._asks_for(call, name)
                case "act twice":
                    yield self._asks_for(call, "act", "act")

    def _asks_for(self, call: Call, *names: str) -> ModelReply:
        arguments = [
            f'{{"chat": "{call.chat}", "mark": "{call.number}.{place}"}}'
            for place, _ in enumerate(names)
        ]
        wanted = zip(names, arguments, strict=True)
        return calls(*wanted, text=f"answer {call.number} asks for tools")

    async def close(self) -> None:
        pass

    @property
    def tools(self) -> tuple[Tool, ...]:
        @tool(risk=Risk.EFFECT)
        async def act(chat: str, mark: str) -> str:
            """Change something, and be long about telling so."""
            self.effects[mark] += 1
            return await self._takes_time(chat)

        @tool(risk=Risk.READ)
        async def read(chat: str, mark: str) -> str:
            """Look something up."""
            return await self._takes_time(chat) + mark

        return act, read

    async def _takes_time(self, chat: str) -> str:
        gate = asyncio.Event()
        with self._working(chat, gate):
            if not self.is_free:
                await gate.wait()
        return "done"


def _go_on(work: Call | asyncio.Event, step: Step) -> None:
    if isinstance(work, asyncio.Event):
        work.set()
    elif not work.step.done():
        work.step.set_result(step)


def _is_released(work: Call | asyncio.Event) -> bool:
    return work.is_set() if isinstance(work, asyncio.Event) else work.step.done()
