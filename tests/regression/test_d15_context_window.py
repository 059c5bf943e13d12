"""D15: whatever became of a conversation, no vendor may refuse the part of it that is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from opencraw.context.blocks import Limits, weight
from opencraw.context.tokens import rough
from opencraw.context.window import Window, window
from opencraw.model import AssistantMessage, Message, Prompt, ToolMessage, UserMessage
from opencraw.providers.anthropic_messages import AnthropicMessages
from opencraw.providers.openai_chat import OpenAiChat
from opencraw.providers.openai_responses import OpenAiResponses
from opencraw.providers.settings import Profile
from opencraw.sessions.transcript import Entry
from tests.context.conversations import Told, conversations, limits, views, written
from tests.fakes.anthropic_checks import check_messages
from tests.fakes.model_checks import check_chat, check_responses
from tests.fixtures.script import objections

VENDORS = (
    (OpenAiChat(Profile(provider="openai", model="m")), check_chat),
    (OpenAiResponses(Profile(provider="openai-responses", model="m")), check_responses),
    (AnthropicMessages(Profile(provider="anthropic", model="m")), check_messages),
)


def complete(shown: Window) -> list[Message]:
    """The messages with an answer to every open call, as the loop would send them."""
    answers = [ToolMessage(each.call.id, each.call.name, "") for each in shown.open_calls]
    return [*shown.messages, *answers]


def tokens(messages: Sequence[Message]) -> int:
    total = sum(weight(each.text, rough) for each in messages)
    asked = (each for each in messages if isinstance(each, AssistantMessage))
    return total + sum(weight(call.arguments, rough) for each in asked for call in each.tool_calls)


def first_group(messages: Sequence[Message]) -> int:
    """How many messages the first one takes with it: a step has the answers to its calls."""
    place = 1
    while place < len(messages) and isinstance(messages[place], ToolMessage):
        place += 1
    return place


@given(told=conversations, limits=limits, read_from=st.floats(0.0, 0.99), data=st.data())
@settings(max_examples=300, deadline=None)
def test_d15_context_window_is_provider_valid(
    told: list[Told], limits: Limits, read_from: float, data: st.DataObject
) -> None:
    """However the conversation went, wherever its marks stand, and from wherever on it was read."""
    scribe = written(told)
    view = data.draw(views(scribe))
    shown = complete(window(scribe.transcript(view, read_from=read_from), limits, rough))
    if not shown:
        return
    assert list(objections(shown)) == []
    for dialect, check in VENDORS:
        check(dialect.translate(Prompt("", tuple(shown))))


@given(told=conversations, limits=limits)
@settings(max_examples=200, deadline=None)
def test_d15_the_newest_turn_is_shown_whole(told: list[Told], limits: Limits) -> None:
    scribe = written(told)
    newest = [each for each in scribe.entries if each.turn_id == scribe.turn]
    expected = [each for each in newest if each.kind in ("user", "recalled") or _speaks(each)]
    expected.sort(key=lambda each: each.text)
    messages = window(scribe.transcript(), limits, rough).messages
    shown = [each for each in messages if not isinstance(each, ToolMessage)][-len(expected) :]
    shown.sort(key=lambda each: each.text)
    for entry, message in zip(expected, shown, strict=True):
        assert message.text.startswith(entry.text)
        if isinstance(message, AssistantMessage):
            assert message.tool_calls == entry.tool_calls


@given(told=conversations, limits=limits)
@settings(max_examples=200, deadline=None)
def test_d15_the_window_is_as_long_as_the_budget_allows(told: list[Told], limits: Limits) -> None:
    scribe = written(told)
    entries = scribe.entries
    newest = replace(
        scribe.transcript(), entries=[each for each in entries if each.turn_id == scribe.turn]
    )
    everything = window(
        scribe.transcript(), replace(limits, max_prompt_tokens=10**9), rough
    ).messages
    found = window(scribe.transcript(), limits, rough)
    shown = found.messages
    assert shown == everything[len(everything) - len(shown) :]
    assert found.tokens == tokens(shown)

    without_oldest = len(shown) - first_group(shown)
    spared = without_oldest >= limits.min_recent_messages
    if spared and without_oldest >= len(window(newest, limits, rough).messages):
        assert tokens(shown) <= limits.max_prompt_tokens

    left_out = everything[: len(everything) - len(shown)]
    assert bool(left_out) == bool(found.left_out)
    said = [place for place, each in enumerate(left_out) if _is_said(each)]
    if said:
        assert tokens(everything[said[-1] :]) > limits.max_prompt_tokens


def _is_said(message: Message) -> bool:
    return isinstance(message, UserMessage) and message.text.startswith("said")


def _speaks(entry: Entry) -> bool:
    return entry.kind == "assistant" and bool(entry.text or entry.tool_calls or entry.interrupted)
