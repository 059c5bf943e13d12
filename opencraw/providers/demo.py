"""The provider `demo/assistant`: no model and no network, yet everything around it can be tried.

It is a pure function of the prompt, as a model is: what it remembers, it reads in the history.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Container, Sequence

import msgspec

from opencraw.model import (
    AssistantMessage,
    Message,
    ModelEvent,
    ModelReply,
    Prompt,
    TextDelta,
    ToolCall,
    ToolMessage,
    Usage,
)
from opencraw.providers import demo_texts
from opencraw.providers.demo_reading import from_memory, guests, questions

#: Seconds between two words: slow enough to watch, fast enough not to wait for.
PACE = 0.02
COUNT_LIMIT = 10_000

_COUNT = re.compile(r"(?i)\bcount (?:up )?to (\d+)")
_STORY = re.compile(r"(?i)\blong (?:story|answer|text)\b")
_MARKDOWN = re.compile(r"(?i)\bmarkdown\b")
_WHICH_NAME = re.compile(
    r"(?i)\bwhat(?:'s|’s| is| was) my name\b|\bwho am i\b|\bremember my name\b"
)
_WHICH_FACTS = re.compile(
    r"(?i)\bwhat (?:do|did|can) you (?:remember|know)\b|\bwhat did i tell you\b"
)
_NAME = re.compile(r"\b(?i:my name is) (\w[\w'’-]*(?: [A-Z][\w'’-]*)*)")
_FACT = re.compile(r"(?im)\bremember (?:that )?([^\n?]+?)[.!]*$")
#: Without them, there is still what was said here.
_READS = ("memory_search", "memory_summarize")
_SUM = re.compile(
    r"(?i)\b(?:what(?:'s|’s| is)|calculate|compute|work out|how much is)\s+"
    r"([-+(.\d][-+*/%^().,\d\sx×÷]*)"
)
_TIME = re.compile(
    r"(?i)\b(?:what|which|current|tell|know)\b.*\b(?:time|date|day)\b|\btoday'?s date\b"
)


class DemoProvider:
    """Answers from what it is told, word by word."""

    def __init__(self, pace: float = PACE) -> None:
        self._pace = pace

    async def stream(self, prompt: Prompt) -> AsyncGenerator[ModelEvent]:
        """Yield deltas, then the reply. Nothing here can fail."""
        answer = reply(prompt)
        for word in re.findall(r"\S+\s*", answer.text):
            await asyncio.sleep(self._pace)
            yield TextDelta(word)
        yield answer

    async def close(self) -> None:
        """There is nothing to let go of."""


def reply(prompt: Prompt) -> ModelReply:
    """The whole answer to a prompt."""
    earlier, turn = _split(prompt.messages)
    asked_now = list(questions(turn))
    offered = frozenset(tool.name for tool in prompt.tools)
    made = [call for message in turn for call in _calls(message)]
    asked = {(call.name, call.arguments) for call in made}
    calls = tuple(
        ToolCall(f"demo-{len(prompt.messages)}-{number}", name, arguments)
        for number, (name, arguments) in enumerate(
            _wanted_tool(question, offered) for question in asked_now
        )
        if name in offered and (name, arguments) not in asked
    )
    if calls:
        return ModelReply("", calls, usage=_usage(prompt, ""), stop="tool_calls")
    results = {
        (call.name, call.arguments): message
        for call in made
        for message in turn
        if isinstance(message, ToolMessage) and message.call_id == call.id
    }
    history = list(questions(earlier))
    known = from_memory(prompt.messages)
    paragraphs = [
        _answer(question, [*history, *asked_now[:number]], known, results, offered)
        for number, question in enumerate(asked_now)
    ]
    paragraphs.extend(map(_echo, guests(turn)))
    if not any(isinstance(message, AssistantMessage) and message.text for message in earlier):
        paragraphs.insert(0, demo_texts.INTRODUCTION)
    text = "\n\n".join(paragraphs) or _echo("")
    return ModelReply(text, usage=_usage(prompt, text))


def _split(messages: Sequence[Message]) -> tuple[Sequence[Message], Sequence[Message]]:
    """What lies behind, and the turn that is to be answered now."""
    for place in range(len(messages) - 1, -1, -1):
        message = messages[place]
        if isinstance(message, AssistantMessage) and not message.tool_calls:
            return messages[: place + 1], messages[place + 1 :]
    return (), messages


def _calls(message: Message) -> tuple[ToolCall, ...]:
    return message.tool_calls if isinstance(message, AssistantMessage) else ()


def _wanted_tool(question: str, offered: Container[str]) -> tuple[str, str]:
    """The tool that would help with a question, and its arguments; names are empty without one."""
    if (wanted := _memory_tool(question))[0] in offered:
        return wanted
    if expression := _expression(question):
        return "calculate", _encoded(expression=expression)
    if _TIME.search(question) and not _asks(question):
        return "current_time", "{}"
    return "", ""


def _memory_tool(question: str) -> tuple[str, str]:
    if _WHICH_NAME.search(question):
        return "memory_search", _encoded(query="my name is")
    if _WHICH_FACTS.search(question):
        return "memory_summarize", "{}"
    if found := _FACT.search(question):
        return "memory_save", _encoded(text=found[1])
    return "", ""


def _encoded(**arguments: str) -> str:
    return msgspec.json.encode(arguments).decode()


def _expression(question: str) -> str:
    found = _SUM.search(question)
    if found is None:
        return ""
    text = found[1].strip(" .,\n")
    text = text.replace("×", "*").replace("x", "*").replace("÷", "/").replace("^", "**")
    text = text.replace(",", "")
    return text if re.search(r"\d\)?\s*[-+*/%]+\s*[(\d.]", text) else ""


def _answer(
    question: str,
    history: Sequence[str],
    known: Sequence[str],
    results: dict[tuple[str, str], ToolMessage],
    offered: Container[str],
) -> str:
    name, arguments = wanted = _wanted_tool(question, offered)
    result = results.get(wanted)
    if name and result is None:
        return f"I would call the tool `{name}` for that, but it is not offered to me here."
    if result is not None and result.failed and name not in _READS:
        return f"I called `{name}`, and it did not work: {result.text}"
    if result is not None and name == "memory_save":
        return f"I will remember, in other conversations, too: {_FACT.findall(question)[0]}"
    if result is not None and name == "calculate":
        expression = msgspec.json.decode(arguments, type=dict[str, str])["expression"]
        return f"`{name}` says: {expression} = {result.text}"
    if result is not None and name == "current_time":
        return f"`{name}` says: {result.text}"
    return _canned(question) or _remembered(question, history, known) or _echo(question)


def _canned(question: str) -> str:
    if found := _COUNT.search(question):
        # Only as many digits as the limit has: a number of a million digits takes minutes to read.
        last = min(int(found[1][:6]), COUNT_LIMIT)
        return " ".join(map(str, range(1, last + 1))) or "There is nothing to count."
    if _STORY.search(question):
        return demo_texts.story()
    if _MARKDOWN.search(question):
        return demo_texts.MARKDOWN
    return ""


def _remembered(question: str, history: Sequence[str], known: Sequence[str]) -> str:
    """What was said here, and what memory brought up from before (`known`)."""
    if _WHICH_NAME.search(question):
        # The newest counts, and what is said here more than what memory brought up, best first.
        told = (*reversed(known), *history)
        names = [found[1] for text in told for found in _NAME.finditer(text)]
        return f"Your name is {names[-1]}." if names else "You have not told me your name yet."
    if _WHICH_FACTS.search(question):
        statements = [text for text in history if not _asks(text)]
        facts = [found[1] for text in statements for found in _FACT.finditer(text)]
        names = [f"my name is {found[1]}" for text in history for found in _NAME.finditer(text)]
        lists = {"You told me": [*names, *facts], "From memory": known}
        parts = (
            "\n".join([f"{head}:\n", *(f"- {fact}" for fact in listed)])
            for head, listed in lists.items()
            if listed
        )
        return "\n\n".join(parts) or "You have not asked me to remember anything."
    if found := _NAME.search(question):
        return f"Hello, {found[1]}! Ask me later what your name is."
    if found := _FACT.search(question):
        return f"I will remember, as long as this conversation goes on: {found[1]}"
    return ""


def _asks(text: str) -> bool:
    return bool(_WHICH_NAME.search(text) or _WHICH_FACTS.search(text))


def _echo(question: str) -> str:
    said = question.strip()
    heard = f"You said: {said}" if said else "You said nothing that I can read."
    return f"{heard}\n\n{demo_texts.CAN_TRY}"


def _usage(prompt: Prompt, text: str) -> Usage:
    """Words stand in for tokens."""
    spoken = [prompt.system, *(message.text for message in prompt.messages)]
    return Usage(sum(len(part.split()) for part in spoken), len(text.split()))
