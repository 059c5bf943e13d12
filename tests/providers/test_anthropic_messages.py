from __future__ import annotations

import json
from typing import Any

import pytest

from opencraw.errors import FailureKind, ModelFailure
from opencraw.model import (
    AssistantMessage,
    Message,
    ModelEvent,
    ModelReply,
    Prompt,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolMessage,
    ToolSpec,
    Usage,
    UserMessage,
)
from opencraw.providers.anthropic_messages import AnthropicMessages, MessageReader
from opencraw.providers.settings import Profile

SCHEMA: dict[str, object] = {"type": "object", "properties": {}}
MARK = {"cache_control": {"type": "ephemeral"}}
THOUGHT = Thinking("anthropic", "Hm.", "signed")


def translated(*messages: Message, system: str = "", thinking: int = 0) -> dict[str, Any]:
    profile = Profile(provider="anthropic", model="claude", thinking_tokens=thinking)
    return AnthropicMessages(profile).translate(Prompt(system, messages))


def test_a_prompt_becomes_a_request() -> None:
    prompt = Prompt(
        "Be brief.",
        (
            UserMessage("one"),
            UserMessage("two"),
            AssistantMessage(
                "wait",
                (ToolCall("c.1", "f", '{"a": 1}'), ToolCall("c2", "f", "not json")),
                (THOUGHT, Thinking("anthropic", "", "sealed", redacted=True), Thinking("x", "y")),
            ),
            ToolMessage("c.1", "f", "found"),
            ToolMessage("c2", "f", "broken", failed=True),
            UserMessage("hurry"),
        ),
        (ToolSpec("f", "Look up.", SCHEMA),),
    )
    dialect = AnthropicMessages(Profile(provider="anthropic", model="claude"))
    assert dialect.url == "https://api.anthropic.com/v1/messages"
    assert dialect.translate(prompt) == {
        "model": "claude",
        "max_tokens": 4096,
        "stream": True,
        "system": [{"type": "text", "text": "Be brief.", **MARK}],
        "tools": [{"name": "f", "description": "Look up.", "input_schema": SCHEMA}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "one"},
                    {"type": "text", "text": "two", **MARK},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "signed"},
                    {"type": "redacted_thinking", "data": "sealed"},
                    {"type": "text", "text": "wait"},
                    {"type": "tool_use", "id": "c_1", "name": "f", "input": {"a": 1}},
                    {"type": "tool_use", "id": "c2", "name": "f", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "c_1", "content": "found"},
                    {
                        "type": "tool_result",
                        "tool_use_id": "c2",
                        "content": "broken",
                        "is_error": True,
                    },
                    {"type": "text", "text": "hurry", **MARK},
                ],
            },
        ],
    }


def test_blank_texts_are_left_out_and_their_neighbours_merged() -> None:
    body = translated(
        UserMessage("a"), AssistantMessage(" \n"), UserMessage(""), UserMessage("b"), system=""
    )
    assert body["messages"] == [
        {
            "role": "user",
            "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"} | MARK],
        }
    ]
    assert "system" not in body


def unmarked(body: Any) -> Any:
    """A request without its cache marks."""
    if isinstance(body, list):
        return [unmarked(part) for part in body]
    if not isinstance(body, dict):
        return body
    return {name: unmarked(value) for name, value in body.items() if name != "cache_control"}


def test_the_same_beginning_is_translated_alike() -> None:
    """Otherwise the vendor's cache would never be hit."""
    turn = (UserMessage("a"), AssistantMessage("b"))
    short = unmarked(translated(*turn, system="s"))
    long = unmarked(translated(*turn, UserMessage("c"), system="s"))
    assert long["messages"][: len(short["messages"])] == short["messages"]
    assert long["system"] == short["system"]


def test_a_request_ends_with_what_grows() -> None:
    assert list(translated(UserMessage("a"), system="s", thinking=2048))[-1] == "messages"


def test_marks_stand_where_this_request_and_the_one_before_end() -> None:
    many = tuple(ToolCall(f"c{number}", "f", "{}") for number in range(30))
    body = translated(
        UserMessage("old"),
        AssistantMessage("answer"),
        UserMessage("asked"),
        AssistantMessage("", many),
        *(ToolMessage(call.id, "f", "x") for call in many),
        system="s",
    )
    marked = [
        [block.get("text") or block.get("tool_use_id") for block in message["content"]
         if "cache_control" in block]
        for message in body["messages"]
    ]  # fmt: skip
    assert marked == [[], [], ["asked"], [], ["c29"]]


CALL = (ToolCall("c", "f", "{}"),)
RESULT = ToolMessage("c", "f", "x")


@pytest.mark.parametrize(
    ("messages", "thinks"),
    [
        ((UserMessage("a"),), True),
        ((UserMessage("a"), AssistantMessage("b"), UserMessage("c")), True),
        ((UserMessage("a"), AssistantMessage("", CALL, (THOUGHT,)), RESULT), True),
        ((UserMessage("a"), AssistantMessage("", CALL), RESULT), False),
        ((UserMessage("a"), AssistantMessage("", CALL, (Thinking("x", "y"),)), RESULT), False),
    ],
)
def test_thinking_is_not_begun_in_the_middle(messages: tuple[Message, ...], thinks: bool) -> None:
    body = translated(*messages, thinking=2048)
    assert ("thinking" in body) is thinks
    if thinks:
        assert body["thinking"] == {"type": "enabled", "budget_tokens": 2048}


@pytest.mark.parametrize("base", ["http://proxy/anthropic", "http://proxy/anthropic/v1/"])
def test_a_base_url_may_name_the_version(base: str) -> None:
    dialect = AnthropicMessages(Profile(provider="anthropic", model="m", base_url=base))
    assert dialect.url == "http://proxy/anthropic/v1/messages"


def test_the_version_is_always_named() -> None:
    dialect = AnthropicMessages(Profile(provider="anthropic", model="m"))
    assert dialect.headers("k") == {"anthropic-version": "2023-06-01", "x-api-key": "k"}
    assert dialect.headers(None) == {"anthropic-version": "2023-06-01"}


def event(kind: str, **fields: Any) -> bytes:
    return json.dumps({"type": kind, **fields}).encode()


def block(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> list[bytes]:
    return [
        event("content_block_start", index=index, content_block=start),
        *(event("content_block_delta", index=index, delta=delta) for delta in deltas),
        event("content_block_stop", index=index),
    ]


def text(index: int, said: str) -> list[bytes]:
    return block(index, {"type": "text", "text": ""}, {"type": "text_delta", "text": said})


def tool(index: int, call_id: str | None, *parts: str, given: object = None) -> list[bytes]:
    start = {"type": "tool_use", "id": call_id, "name": "f", "input": given or {}}
    return block(
        index, start, *({"type": "input_json_delta", "partial_json": part} for part in parts)
    )


def ending(reason: str | None, **usage: int) -> list[bytes]:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return [
        event("message_delta", delta=delta, usage={"output_tokens": 2, **usage}),
        event("message_stop"),
    ]


START = event(
    "message_start",
    message={
        "usage": {
            "input_tokens": 3,
            "cache_creation_input_tokens": 10,
            "cache_read_input_tokens": 100,
            "output_tokens": 1,
        }
    },
)
PING = event("ping")


def read(*payloads: bytes) -> list[ModelEvent]:
    reader = MessageReader("anthropic/claude")
    events = reader.read(list(payloads))
    if not (events and isinstance(events[-1], ModelReply)):
        events += reader.end()
    return events


def test_an_answer_is_put_together() -> None:
    thinking = block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "Hm."},
        {"type": "signature_delta", "signature": "sig"},
        {"type": "signature_delta", "signature": "ned"},
    )
    sealed = block(1, {"type": "redacted_thinking", "data": "sealed"})
    assert read(
        START,
        PING,
        *thinking,
        *sealed,
        *text(2, "so be it"),
        *tool(3, "c1", "", '{"a"', ":1}"),
        *tool(4, "c2"),
        *tool(5, "c3", given={"whole": True}),
        *block(6, {"type": "of_a_kind_to_come"}, {"type": "odd_delta", "odd": 1}),
        event("event_to_come", delta="odd", index="odd"),
        *ending("tool_use"),
    ) == [
        ThinkingDelta("Hm."),
        TextDelta("so be it"),
        ModelReply(
            "so be it",
            (
                ToolCall("c1", "f", '{"a":1}'),
                ToolCall("c2", "f", "{}"),
                ToolCall("c3", "f", '{"whole": true}'),
            ),
            (Thinking("anthropic", "Hm.", "signed"), Thinking("anthropic", "", "sealed", True)),
            Usage(113, 2, 100),
            "tool_calls",
        ),
    ]


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("end_turn", "end"),
        ("stop_sequence", "end"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "refused"),
        ("to_come", "end"),
    ],
)
def test_endings(reason: str, stop: str) -> None:
    reply = read(START, *text(0, "a"), *ending(reason, input_tokens=5))[-1]
    assert isinstance(reply, ModelReply)
    assert reply.stop == stop
    assert reply.usage == Usage(115, 2, 100)


@pytest.mark.parametrize("reason", ["max_tokens", "refusal"])
def test_calls_of_an_answer_that_was_cut_are_not_made(reason: str) -> None:
    reply = read(START, *tool(0, "c1"), *ending(reason))[-1]
    assert isinstance(reply, ModelReply)
    assert reply.tool_calls == ()


@pytest.mark.parametrize(
    ("payloads", "kind"),
    [
        ([], FailureKind.UNREACHABLE),
        ([START, *text(0, "a"), ending("end_turn")[0]], FailureKind.UNREACHABLE),
        ([START, *text(0, "a"), event("message_stop")], FailureKind.FORMAT),
        ([START, text(0, "a")[0], *ending("end_turn")], FailureKind.FORMAT),
        ([*text(0, "a"), *ending("end_turn")], FailureKind.FORMAT),
        ([START, text(0, "a")[1]], FailureKind.FORMAT),
        ([START, *text(0, "a"), text(0, "a")[1]], FailureKind.FORMAT),
        ([START, *text(0, "a"), *text(0, "a")], FailureKind.FORMAT),
        ([START, *block(0, {"type": "text"}, {"type": "text_delta"})], FailureKind.FORMAT),
        ([START, *block(0, {"type": "text"}, {"text": "a"})], FailureKind.FORMAT),
        ([START, event("content_block_start", index=0)], FailureKind.FORMAT),
        ([START, event("content_block_stop", index=7)], FailureKind.FORMAT),
        ([START, event("message_delta", delta={})], FailureKind.FORMAT),
        ([event("message_start")], FailureKind.FORMAT),
        ([START, *tool(0, "c1", "[]"), *ending("tool_use")], FailureKind.FORMAT),
        ([START, *tool(0, None, "{}"), *ending("tool_use")], FailureKind.FORMAT),
        ([START, *tool(0, "c"), *tool(1, "c"), *ending("tool_use")], FailureKind.FORMAT),
        ([START, *text(0, "a"), *ending("tool_use")], FailureKind.FORMAT),
        ([b"{}"], FailureKind.FORMAT),
        ([b"[DONE]"], FailureKind.FORMAT),
        ([b'{"type":"content_block_delta","index":"0"}'], FailureKind.FORMAT),
        ([event("error", error={"type": "overloaded_error"})], FailureKind.OVERLOADED),
        ([event("error", error={"type": "api_error"})], FailureKind.OVERLOADED),
        ([event("error", error={"type": "invalid_request_error"})], FailureKind.FORMAT),
    ],
)
def test_broken_streams_are_failures(payloads: list[bytes], kind: FailureKind) -> None:
    with pytest.raises(ModelFailure) as raised:
        read(*payloads)
    assert raised.value.kind == kind, str(raised.value)
