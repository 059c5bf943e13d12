"""D15: whatever became of a conversation, no vendor may refuse the part of it that is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from opencraw.context.window import Limits, Window, estimate, window
from opencraw.model import AssistantMessage, Message, ToolCall, ToolMessage, UserMessage
from opencraw.sessions.transcript import Entry
from tests.fixtures.script import objections

sizes = st.sampled_from([0, 3, 40, 400])


@dataclass(frozen=True)
class Step:
    """A model's step: so much text, a size per call's result, and how many steers follow it."""

    text: int
    results: tuple[int, ...]
    steers: int


@dataclass(frozen=True)
class Told:
    """One turn as it may have gone. `open_calls` of its last step never got a result."""

    superseded: int
    said: int
    steps: tuple[Step, ...]
    open_calls: int
    started: bool
    end: Literal["done", "failed", "interrupted", "crashed"]
    last_words: int


steps = st.builds(
    Step, sizes, st.lists(sizes, min_size=1, max_size=3).map(tuple), st.integers(0, 2)
)
turns = st.builds(
    Told,
    superseded=st.integers(0, 2),
    said=sizes,
    steps=st.lists(steps, max_size=4).map(tuple),
    open_calls=st.integers(0, 3),
    started=st.booleans(),
    end=st.sampled_from(["done", "failed", "interrupted", "crashed"]),
    last_words=sizes,
)
limits = st.builds(
    Limits, st.sampled_from([150, 300, 2000]), st.integers(1, 8), st.sampled_from([100, 200])
)


conversations = st.lists(turns, min_size=1, max_size=5)


class Scribe:
    """Writes down what turns leave behind."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.turn = UUID(int=0)

    def take_down(self, told: Told) -> None:
        self.turn = UUID(int=self.turn.int + 1)
        for _ in range(told.superseded):
            self._said(told.said, "superseded")
        self._said(told.said, "asked")
        for place, step in enumerate(told.steps):
            newest = place == len(told.steps) - 1
            if self._step(told, step, told.open_calls if newest else 0):
                return
            for _ in range(step.steers):
                self._said(told.said, "injected")
        if told.end in ("done", "interrupted"):
            self._spoke(told.last_words, cut=told.end == "interrupted")

    def _step(self, told: Told, step: Step, open_calls: int) -> bool:
        """A step and the results of its calls; True when some of them have none."""
        # Some vendors count their calls from nought in every step.
        asked = tuple(ToolCall(f"call-{n}", "tool", "{}") for n in range(len(step.results)))
        self._spoke(step.text, asked)
        answered = max(0, len(asked) - open_calls)
        for call, size in zip(asked[:answered], step.results, strict=False):
            self._write("tool_started", call_id=call.id)
            self._write("tool_result", "r" * size, call_id=call.id, failed=not size)
        left = asked[answered:]
        if left and told.started:
            self._write("tool_started", call_id=left[0].id)
        if told.end == "interrupted":
            for call in left:
                self._write("tool_result", call_id=call.id, failed=True)
        return bool(left)

    def _said(self, size: int, disposition: str) -> None:
        text = f"said {len(self.entries)} " + "x" * size
        self._write("user", text, disposition=disposition)

    def _spoke(self, size: int, asked: tuple[ToolCall, ...] = (), *, cut: bool = False) -> None:
        text = f"spoke {len(self.entries)} " + "y" * size if size else ""
        self._write("assistant", text, tool_calls=asked, interrupted=cut)

    def _write(self, kind: str, text: str = "", **more: object) -> None:
        place = len(self.entries) + 1
        self.entries.append(Entry(place, kind, text, self.turn, **more))  # type: ignore[arg-type]


def transcript(told: list[Told]) -> list[Entry]:
    """The entries that these turns leave behind. The last one runs still, or again."""
    scribe = Scribe()
    for each in told:
        scribe.take_down(each)
    return scribe.entries


def complete(shown: Window) -> list[Message]:
    """The messages with an answer to every open call, as the loop would send them."""
    answers = [ToolMessage(each.call.id, each.call.name, "") for each in shown.open_calls]
    return [*shown.messages, *answers]


def tokens(messages: Sequence[Message]) -> int:
    total = sum(estimate(each.text) for each in messages)
    asked = (each for each in messages if isinstance(each, AssistantMessage))
    return total + sum(estimate(call.arguments) for each in asked for call in each.tool_calls)


def first_group(messages: Sequence[Message]) -> int:
    """How many messages the first one takes with it: a step has the answers to its calls."""
    place = 1
    while place < len(messages) and isinstance(messages[place], ToolMessage):
        place += 1
    return place


@given(told=conversations, limits=limits, read_from=st.floats(0.0, 0.99))
@settings(max_examples=300, deadline=None)
def test_d15_context_window_is_provider_valid(
    told: list[Told], limits: Limits, read_from: float
) -> None:
    """However the conversation went, and from wherever on it was read."""
    entries = transcript(told)
    entries = entries[int(len(entries) * read_from) :]
    assert list(objections(complete(window(entries, limits)))) == []


@given(told=conversations, limits=limits)
@settings(max_examples=200, deadline=None)
def test_d15_the_newest_turn_is_shown_whole(told: list[Told], limits: Limits) -> None:
    entries = transcript(told)
    newest = [each for each in entries if each.turn_id == entries[-1].turn_id]
    expected = [each for each in newest if each.kind == "user" or _speaks(each)]
    shown = [each for each in window(entries, limits).messages if not isinstance(each, ToolMessage)]
    for entry, message in zip(expected, shown[-len(expected) :], strict=True):
        assert message.text.startswith(entry.text)
        if isinstance(message, AssistantMessage):
            assert message.tool_calls == entry.tool_calls


@given(told=conversations, limits=limits)
@settings(max_examples=200, deadline=None)
def test_d15_the_window_is_as_long_as_the_budget_allows(told: list[Told], limits: Limits) -> None:
    entries = transcript(told)
    newest = [each for each in entries if each.turn_id == entries[-1].turn_id]
    everything = window(entries, replace(limits, max_prompt_tokens=10**9)).messages
    shown = window(entries, limits).messages
    assert shown == everything[len(everything) - len(shown) :]

    without_oldest = len(shown) - first_group(shown)
    spared = without_oldest >= limits.min_recent_messages
    if spared and without_oldest >= len(window(newest, limits).messages):
        assert tokens(shown) <= limits.max_prompt_tokens

    left_out = everything[: len(everything) - len(shown)]
    said = [place for place, each in enumerate(left_out) if isinstance(each, UserMessage)]
    if said:
        assert tokens(everything[said[-1] :]) > limits.max_prompt_tokens


def _speaks(entry: Entry) -> bool:
    return entry.kind == "assistant" and bool(entry.text or entry.tool_calls or entry.interrupted)
