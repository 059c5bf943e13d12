"""Which part of a transcript a model is shown, decided from values alone.

A prompt is made of blocks that are never cut apart: a user's line, or an assistant's step together
with the results of all its tool calls. Providers refuse a call without its result and a result
without its call, so every window that this module builds is one that they accept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from opencraw.context.notes import note
from opencraw.model import AssistantMessage, Message, ToolCall, ToolMessage, UserMessage
from opencraw.sessions.transcript import Entry


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is shown. Tokens are estimated, see `estimate`."""

    max_prompt_tokens: int
    min_recent_messages: int
    max_tool_chars: int

    @property
    def max_text_chars(self) -> int:
        """No single text is shown beyond this: it alone would fill the window."""
        return max(self.max_prompt_tokens * 4, self.max_tool_chars)


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A tool call of the newest step that has no result yet."""

    call: ToolCall
    #: It was on record as started: it may have happened.
    started: bool


@dataclass(frozen=True, slots=True)
class Window:
    """What a model is shown, and the calls that have to be answered before it is asked again."""

    messages: tuple[Message, ...]
    open_calls: tuple[OpenCall, ...] = ()


def estimate(text: str) -> int:
    """About how many tokens `text` has: a token is some four bytes of UTF-8."""
    size = len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
    return size // 4 + 4


def shorten(text: str, longest: int, *, tail: str = "", size: int = 0) -> str:
    """`text`, with its middle left out when it is longer than `longest` characters.

    A text of `size` characters that was not read whole is given as its beginning and its `tail`.
    """
    size = size or len(text)
    if size <= longest:
        return text
    end = tail or text
    head_size, tail_size = longest * 2 // 3, longest // 3
    gap = note("cut", characters=size - head_size - tail_size)
    return f"{text[:head_size]}\n{gap}\n{end[len(end) - tail_size :]}"


def window(entries: Sequence[Entry], limits: Limits) -> Window:
    """The newest part of `entries` that fits, oldest first, beginning with a user's line.

    The newest turn is always shown, and so are the newest `min_recent_messages`; of the rest as
    much as `max_prompt_tokens` allows. Of a text that alone would fill the window, and of a long
    tool result, the middle is left out with a note that says so.
    """
    if not entries:
        return Window(())
    blocks = list(_blocks(entries, limits))
    newest_turn = entries[-1].turn_id
    tokens = shown = 0
    first = len(blocks)
    for position in range(len(blocks) - 1, -1, -1):
        block = blocks[position]
        tokens += block.tokens
        owed = block.turn_id == newest_turn or shown < limits.min_recent_messages
        if not owed and tokens > limits.max_prompt_tokens:
            break
        shown += len(block.messages)
        first = position
    kept = blocks[first:]
    while kept and kept[0].turn_id != newest_turn and not _is_said(kept[0]):
        kept = kept[1:]
    messages = tuple(message for block in kept for message in block.messages)
    if not kept or not _is_said(kept[0]):
        # The newest turn alone is longer than what was read of the transcript.
        messages = (UserMessage(note("left_out")), *messages)
    return Window(messages, kept[-1].open_calls if kept else ())


@dataclass(slots=True)
class _Block:
    turn_id: object
    messages: list[Message]
    tokens: int
    open_calls: tuple[OpenCall, ...] = ()


def _is_said(block: _Block) -> bool:
    return isinstance(block.messages[0], UserMessage)


def _fit(entry: Entry, longest: int) -> str:
    return shorten(entry.text, longest, tail=entry.tail, size=entry.size)


def _blocks(entries: Sequence[Entry], limits: Limits) -> Iterable[_Block]:
    position = 0
    while position < len(entries):
        entry = entries[position]
        position += 1
        if entry.kind == "user":
            said = _fit(entry, limits.max_text_chars)
            yield _Block(entry.turn_id, [UserMessage(said)], estimate(said))
        elif entry.kind == "assistant":
            start = position
            while position < len(entries) and entries[position].kind.startswith("tool_"):
                position += 1
            newest = position == len(entries)
            # A model that answered with nothing: vendors refuse to be shown that.
            if entry.text.strip() or entry.tool_calls or entry.interrupted:
                yield _step(entry, entries[start:position], limits, newest=newest)
        # A result without its step can only be first: the transcript was read from its middle.


def _step(entry: Entry, answers: Sequence[Entry], limits: Limits, *, newest: bool) -> _Block:
    """An assistant's step with the results of its calls, in the order of the calls."""
    started = {answer.call_id for answer in answers if answer.kind == "tool_started"}
    results = {answer.call_id: answer for answer in answers if answer.kind == "tool_result"}
    text = _fit(entry, limits.max_text_chars)
    if entry.interrupted:
        text = f"{text}\n{note('interrupted')}".strip()
    messages: list[Message] = [AssistantMessage(text, entry.tool_calls, entry.thinking)]
    open_calls: list[OpenCall] = []
    for call in entry.tool_calls:
        answer = results.get(call.id)
        if answer is not None:
            shown = _fit(answer, limits.max_tool_chars)
            messages.append(ToolMessage(call.id, call.name, shown, answer.failed))
        elif newest:
            open_calls.append(OpenCall(call, call.id in started))
        else:
            messages.append(ToolMessage(call.id, call.name, note("tool_lost"), failed=True))
    tokens = sum(estimate(message.text) for message in messages)
    tokens += sum(estimate(call.arguments) for call in entry.tool_calls)
    return _Block(entry.turn_id, messages, tokens, tuple(open_calls))
