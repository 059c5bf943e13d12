"""What requests look like to the vendors' prompt caches, and the fakes that stand in for these."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from opencraw.model import AssistantMessage, Message, Prompt, ToolCall, ToolMessage, UserMessage
from opencraw.providers.dialect import Dialect, cache_key
from opencraw.providers.openai_chat import OpenAiChat
from opencraw.providers.openai_responses import OpenAiResponses
from opencraw.providers.settings import Profile
from tests.fakes.model_cache import LEAST, LOOKS_BACK, STEP, PromptCache, Seen
from tests.providers.conftest import Connect, reply

LONG = "All work and no play makes a long text. " * 150
MARK = {"cache_control": {"type": "ephemeral"}}


def chat(*texts: str, model: str = "m") -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text} for text in texts]}


def marked(*texts: str, at: tuple[int, ...]) -> dict[str, Any]:
    """A request to Anthropic of one block for each text, with marks at some."""
    blocks = [
        {"type": "text", "text": text, **(MARK if place in at else {})}
        for place, text in enumerate(texts)
    ]
    return {"model": "m", "messages": [{"role": "user", "content": blocks}]}


def test_openai_counts_the_longest_beginning_in_steps() -> None:
    cache = PromptCache()
    first = cache.see("chat", chat(LONG, "and then"))
    assert (first.cached, first.written) == (0, 0)
    again = cache.see("chat", chat(LONG, "or else", LONG))
    assert again.cached >= LEAST
    assert again.cached % STEP == 0
    assert 0 <= first.total - again.cached <= STEP + 10
    assert cache.see("chat", chat(LONG, "or else", LONG, "x")).cached > again.cached
    assert cache.see("chat", chat("A" + LONG, "or else")).cached == 0
    assert cache.see("chat", chat(LONG, "or else", model="another")).cached == 0


def test_nobody_keeps_what_is_short() -> None:
    for wire, body in (("chat", chat("hi")), ("messages", marked("hi", at=(0,)))):
        cache = PromptCache()
        assert cache.see(wire, body) == cache.see(wire, body)
        assert cache.see(wire, body).cached == 0


def test_anthropic_keeps_what_ends_at_a_mark() -> None:
    cache = PromptCache()
    first = cache.see("messages", marked(LONG, "b", at=(1,)))
    assert first == Seen(first.total, 0, first.total)
    assert cache.see("messages", marked(LONG, "b", "c", at=(2,))).cached == first.total
    assert cache.see("messages", marked(LONG, "x", at=(1,))).cached == 0, "nothing ended there"
    assert cache.see("messages", marked(LONG, "b", "c", at=())).cached == 0, "nobody asked"


@pytest.mark.parametrize(("more", "found"), [(LOOKS_BACK, True), (LOOKS_BACK + 1, False)])
def test_anthropic_looks_back_over_so_many_blocks(more: int, found: bool) -> None:
    cache = PromptCache()
    cache.see("messages", marked(LONG, at=(0,)))
    last = marked(LONG, *(str(each) for each in range(more)), at=(more,))
    assert bool(cache.see("messages", last).cached) == found


def openai(make: Callable[[Profile], Dialect], **fields: Any) -> Dialect:
    return make(Profile(provider="openai", model="gpt-5", **fields))


@pytest.mark.parametrize("make", [OpenAiChat, OpenAiResponses])
def test_openai_is_told_which_requests_belong_together(
    make: Callable[[Profile], Dialect],
) -> None:
    begun = Prompt("s", (UserMessage("a"),))
    goes_on = Prompt("s", (UserMessage("a"), AssistantMessage("b"), UserMessage("c")))
    other = Prompt("s", (UserMessage("z"),))
    keys = [openai(make).translate(each)["prompt_cache_key"] for each in (begun, goes_on, other)]
    assert keys == [cache_key(begun), cache_key(begun), cache_key(other)]
    assert keys[0] != keys[2]
    assert "prompt_cache_key" not in openai(make, base_url="http://localhost:1/v1").translate(begun)
    assert list(openai(make).translate(begun))[-1] in {"messages", "input"}


def test_a_conversation_without_messages_has_a_name_too() -> None:
    assert len(cache_key(Prompt("\ud800", ()))) == 32


@pytest.mark.parametrize("vendor", ["openai", "openai-responses", "anthropic"])
@pytest.mark.parametrize("calls", [1, 30])
async def test_every_step_of_a_turn_finds_the_one_before_in_the_cache(
    vendor: str, calls: int, connect: Connect
) -> None:
    provider = connect(vendor)
    messages: tuple[Message, ...] = (UserMessage(LONG),)
    before = await reply(provider, Prompt("You are a test.", messages))
    for step in range(3):
        made = tuple(ToolCall(f"c{step}_{number}", "f", "{}") for number in range(calls))
        messages = (
            *messages,
            AssistantMessage("", made),
            *(ToolMessage(call.id, "f", "found") for call in made),
        )
        answer = await reply(provider, Prompt("You are a test.", messages))
        assert answer.usage.cached_tokens >= before.usage.prompt_tokens - STEP
        before = answer
