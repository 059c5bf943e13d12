"""The vendors' own SDKs as referees: they accept what the fake server says, and read from it the
same as our decoders do."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState

from opencraw.model import (
    AssistantMessage,
    Message,
    ModelReply,
    Prompt,
    Thinking,
    ToolCall,
    ToolMessage,
    ToolSpec,
    Usage,
    UserMessage,
)
from opencraw.providers.anthropic_messages import AnthropicMessages
from opencraw.providers.openai_chat import OpenAiChat
from opencraw.providers.openai_responses import OpenAiResponses
from opencraw.providers.settings import Profile
from tests.fakes.model_server import ModelServer
from tests.providers.conftest import Connect, reply

SDK_ERRORS = {
    401: (openai.AuthenticationError, anthropic.AuthenticationError),
    404: (openai.NotFoundError, anthropic.NotFoundError),
    429: (openai.RateLimitError, anthropic.RateLimitError),
    500: (openai.InternalServerError, anthropic.InternalServerError),
}

PROMPTS: dict[str, tuple[Message, ...]] = {
    "text": (UserMessage("hello <<n1>> ünïcödé 😀\nnew line"),),
    "long": (UserMessage("[[words 300]]"),),
    "tool": (UserMessage('[[tool look_up {"word":"\\"é\\" 😀","n":[1,2.5,null]}]]'),),
    "tools and text": (
        UserMessage('[[text-too]] both [[tool look_up {"word":"a"}]] [[tool look_up {}]]'),
    ),
    "history": (
        UserMessage("begin"),
        AssistantMessage("working", (ToolCall("c1", "look_up", '{"word":"x"}'),)),
        ToolMessage("c1", "look_up", "found", failed=True),
        AssistantMessage("done"),
        UserMessage("and again"),
    ),
    "thought": (UserMessage("[[think Let me see.]] [[say yes]]"),),
    "cut at length": (
        UserMessage('[[length]] [[say half]] [[text-too]] [[tool look_up {"w":1}]]'),
    ),
    "refused": (UserMessage("[[refused]] [[say no]]"),),
}
TOOLS = (
    ToolSpec("look_up", "Look up.", {"type": "object", "properties": {"word": {"type": "string"}}}),
)


@pytest.fixture
async def openai_sdk(server: ModelServer) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=server.url + "/v1", api_key="sk-test", max_retries=0
    ) as client:
        yield client


@pytest.fixture
async def anthropic_sdk(server: ModelServer) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(
        base_url=server.url, api_key="sk-test", max_retries=0
    ) as client:
        yield client


async def by_chat(client: openai.AsyncOpenAI, body: dict[str, Any]) -> ModelReply:
    state: Any = ChatCompletionStreamState()
    async for chunk in await client.chat.completions.create(**body):
        state.handle_chunk(chunk)
    final = state.current_completion_snapshot
    [choice] = final.choices
    message, usage = choice.message, final.usage
    return ModelReply(
        (message.content or "") + (message.refusal or ""),
        tuple(
            ToolCall(call.id, call.function.name, call.function.arguments)
            for call in message.tool_calls or ()
        ),
        (),
        Usage(
            usage.prompt_tokens, usage.completion_tokens, usage.prompt_tokens_details.cached_tokens
        ),
        {"stop": "end"}.get(choice.finish_reason, choice.finish_reason),
    )


async def by_responses(client: openai.AsyncOpenAI, body: dict[str, Any]) -> ModelReply:
    final: Any = None
    async for event in await client.responses.create(**body):
        if event.type in {"response.completed", "response.incomplete"}:
            final = event.response
    items = final.output
    parts = [part for item in items if item.type == "message" for part in item.content]
    calls = tuple(
        ToolCall(item.call_id, item.name, item.arguments)
        for item in items
        if item.type == "function_call"
    )
    stop = "tool_calls" if calls else "end"
    if any(part.type == "refusal" for part in parts):
        stop = "refused"
    if final.status == "incomplete":
        stop = "length"
    return ModelReply(
        "".join(part.text if part.type == "output_text" else part.refusal for part in parts),
        calls,
        tuple(
            Thinking("openai-responses", "".join(part.text for part in item.summary))
            for item in items
            if item.type == "reasoning"
        ),
        Usage(
            final.usage.input_tokens,
            final.usage.output_tokens,
            final.usage.input_tokens_details.cached_tokens,
        ),
        stop,  # type: ignore[arg-type]
    )


async def by_messages(client: anthropic.AsyncAnthropic, body: dict[str, Any]) -> ModelReply:
    body = {name: value for name, value in body.items() if name != "stream"}
    async with client.messages.stream(**body) as stream:
        final: Any = await stream.get_final_message()
    usage = final.usage
    stops = {"end_turn": "end", "tool_use": "tool_calls", "max_tokens": "length"}
    return ModelReply(
        "".join(block.text for block in final.content if block.type == "text"),
        tuple(
            ToolCall(block.id, block.name, json.dumps(block.input))
            for block in final.content
            if block.type == "tool_use"
        ),
        tuple(
            Thinking("anthropic", block.thinking, block.signature)
            for block in final.content
            if block.type == "thinking"
        ),
        Usage(
            usage.input_tokens + usage.cache_read_input_tokens,
            usage.output_tokens,
            usage.cache_read_input_tokens,
        ),
        stops.get(final.stop_reason, "refused"),  # type: ignore[arg-type]
    )


def same(ours: ModelReply, theirs: ModelReply) -> None:
    """Compare all but what we leave out on purpose: calls of an answer that was cut."""
    assert (ours.text, ours.stop, ours.usage) == (theirs.text, theirs.stop, theirs.usage)
    assert [part.text for part in ours.thinking] == [part.text for part in theirs.thinking]
    if ours.stop not in {"length", "refused"}:
        assert [(call.id, call.name, json.loads(call.arguments)) for call in ours.tool_calls] == [
            (call.id, call.name, json.loads(call.arguments)) for call in theirs.tool_calls
        ]


every_prompt = pytest.mark.parametrize("messages", PROMPTS.values(), ids=PROMPTS)


@every_prompt
async def test_chat_is_read_as_the_vendors_sdk_reads_it(
    connect: Connect, openai_sdk: openai.AsyncOpenAI, messages: tuple[Message, ...]
) -> None:
    prompt = Prompt("system", messages, TOOLS)
    body = OpenAiChat(Profile(provider="openai", model="model")).translate(prompt)
    ours = await reply(connect("openai"), prompt)
    theirs = await by_chat(openai_sdk, body)
    if theirs.stop == "end" and ours.stop == "refused":
        theirs = ModelReply(theirs.text, usage=theirs.usage, stop="refused")
    same(ours, theirs)


@every_prompt
async def test_responses_are_read_as_the_vendors_sdk_reads_them(
    connect: Connect, openai_sdk: openai.AsyncOpenAI, messages: tuple[Message, ...]
) -> None:
    prompt = Prompt("system", messages, TOOLS)
    body = OpenAiResponses(Profile(provider="openai-responses", model="model")).translate(prompt)
    same(await reply(connect("openai-responses"), prompt), await by_responses(openai_sdk, body))


@every_prompt
async def test_messages_are_read_as_the_vendors_sdk_reads_them(
    connect: Connect, anthropic_sdk: anthropic.AsyncAnthropic, messages: tuple[Message, ...]
) -> None:
    prompt = Prompt("system", messages, TOOLS)
    profile = Profile(provider="anthropic", model="model", thinking_tokens=1024)
    body = AnthropicMessages(profile).translate(prompt)
    ours = await reply(connect("anthropic", thinking_tokens=1024), prompt)
    same(ours, await by_messages(anthropic_sdk, body))


def body_of(name: str, text: str) -> dict[str, Any]:
    dialect: Any = {"chat": OpenAiChat, "responses": OpenAiResponses, "messages": AnthropicMessages}
    provider: Any = {"chat": "openai", "responses": "openai-responses", "messages": "anthropic"}
    profile = Profile(provider=provider[name], model="model")
    return dialect[name](profile).translate(Prompt("", (UserMessage(text),)))  # type: ignore[no-any-return]


@pytest.mark.parametrize("status", SDK_ERRORS)
async def test_refusals_are_the_errors_that_the_sdks_know(
    openai_sdk: openai.AsyncOpenAI, anthropic_sdk: anthropic.AsyncAnthropic, status: int
) -> None:
    text = f"[[status {status} times always]]"
    openai_error, anthropic_error = SDK_ERRORS[status]
    with pytest.raises(openai_error):
        await by_chat(openai_sdk, body_of("chat", text))
    with pytest.raises(openai_error):
        await by_responses(openai_sdk, body_of("responses", text))
    with pytest.raises(anthropic_error):
        await by_messages(anthropic_sdk, body_of("messages", text))


async def test_errors_inside_a_stream_are_the_errors_that_the_sdks_know(
    openai_sdk: openai.AsyncOpenAI, anthropic_sdk: anthropic.AsyncAnthropic
) -> None:
    text = "[[words 20]] [[error-mid-stream times always]]"
    with pytest.raises(openai.APIError, match="had an error"):
        await by_chat(openai_sdk, body_of("chat", text))
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        await by_messages(anthropic_sdk, body_of("messages", text))


async def test_sdks_wait_as_the_server_wishes(server: ModelServer) -> None:
    async with openai.AsyncOpenAI(
        base_url=server.url + "/v1", api_key="sk-test", max_retries=1
    ) as client:
        told = await by_chat(client, body_of("chat", "hello [[status 429 retry-after 0.01]]"))
    assert told.text == "hello"
    assert list(server.outcomes) == ["status", "complete"]
