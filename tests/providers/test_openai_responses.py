from __future__ import annotations

import json
from typing import Any

import pytest

from opencraw.errors import FailureKind, ModelFailure
from opencraw.model import (
    AssistantMessage,
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
from opencraw.providers.dialect import cache_key
from opencraw.providers.openai_responses import NAME, OpenAiResponses, ResponseReader
from opencraw.providers.settings import Profile

SCHEMA: dict[str, object] = {"type": "object", "properties": {}}
REASONING = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "opaque"}


def translated(prompt: Prompt, model: str = "gpt-5") -> dict[str, Any]:
    return OpenAiResponses(Profile(provider="openai-responses", model=model)).translate(prompt)


def test_a_prompt_becomes_a_request() -> None:
    prompt = Prompt(
        "Be brief.",
        (
            UserMessage("hi"),
            AssistantMessage(
                "wait",
                (ToolCall("c1", "look_up", '{"a": 1}'),),
                (Thinking(NAME, "", json.dumps(REASONING)), Thinking("anthropic", "x", "y")),
            ),
            ToolMessage("c1", "look_up", "nothing"),
            AssistantMessage("", thinking=(Thinking(NAME, "", json.dumps(REASONING)),)),
        ),
        (ToolSpec("look_up", "Look up.", SCHEMA),),
    )
    assert translated(prompt) == {
        "model": "gpt-5",
        "instructions": "Be brief.",
        "input": [
            {"type": "message", "role": "user", "content": "hi"},
            REASONING,
            {"type": "message", "role": "assistant", "content": "wait"},
            {
                "type": "function_call",
                "call_id": "c1",
                "name": "look_up",
                "arguments": '{"a": 1}',
            },
            {"type": "function_call_output", "call_id": "c1", "output": "nothing"},
        ],
        "max_output_tokens": 4096,
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": cache_key(prompt),
        "tools": [
            {
                "type": "function",
                "name": "look_up",
                "description": "Look up.",
                "parameters": SCHEMA,
                "strict": False,
            }
        ],
    }


@pytest.mark.parametrize(
    ("model", "reasons"),
    [
        ("gpt-5", True),
        ("o3", True),
        ("gpt-5.1-codex", True),
        ("any", True),
        ("gpt-4o", False),
        ("gpt-4.1-mini", False),
        ("gpt-5-chat-latest", False),
    ],
)
def test_only_models_that_reason_are_asked_for_reasoning(model: str, reasons: bool) -> None:
    assert ("include" in translated(Prompt("", (UserMessage("hi"),)), model)) is reasons


def event(kind: str, **fields: Any) -> bytes:
    return json.dumps({"type": kind, "sequence_number": 1, **fields}).encode()


def text(said: str) -> bytes:
    return event("response.output_text.delta", delta=said, output_index=0)


def done(**item: Any) -> bytes:
    return event("response.output_item.done", output_index=0, item=item)


def call(call_id: str, arguments: str) -> bytes:
    return done(type="function_call", call_id=call_id, name="f", arguments=arguments)


USAGE = {"input_tokens": 9, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 4}}
COMPLETED = event("response.completed", response={"usage": USAGE})


def read(*payloads: bytes) -> list[ModelEvent]:
    reader = ResponseReader("openai-responses/gpt")
    events = reader.read(list(payloads))
    if not (events and isinstance(events[-1], ModelReply)):
        events += reader.end()
    return events


def test_an_answer_is_put_together() -> None:
    raw = {**REASONING, "summary": [{"type": "summary_text", "text": "Hm."}]}
    assert read(
        event("response.created", response={}),
        event("response.reasoning_summary_text.delta", delta="Hm."),
        done(**raw),
        text("so "),
        text("be it"),
        event("response.function_call_arguments.delta", delta='{"half'),
        call("c1", '{"a":1}'),
        call("c2", ""),
        event("response.of_a_kind_to_come", delta={"odd": 1}),
        COMPLETED,
        b"garbage after the end",
    ) == [
        ThinkingDelta("Hm."),
        TextDelta("so "),
        TextDelta("be it"),
        ModelReply(
            "so be it",
            (ToolCall("c1", "f", '{"a":1}'), ToolCall("c2", "f", "{}")),
            (Thinking(NAME, "Hm.", json.dumps(raw)),),
            Usage(9, 2, 4),
            "tool_calls",
        ),
    ]


@pytest.mark.parametrize(
    ("ending", "stop"),
    [
        (COMPLETED, "end"),
        (event("response.completed", response={}), "end"),
        (
            event(
                "response.incomplete",
                response={"incomplete_details": {"reason": "max_output_tokens"}},
            ),
            "length",
        ),
        (
            event(
                "response.incomplete", response={"incomplete_details": {"reason": "content_filter"}}
            ),
            "refused",
        ),
    ],
)
def test_endings(ending: bytes, stop: str) -> None:
    reply = read(text("a"), ending)[-1]
    assert isinstance(reply, ModelReply)
    assert reply.stop == stop


def test_calls_of_an_answer_that_was_cut_are_not_made() -> None:
    reply = read(call("c1", '{"half'), event("response.incomplete", response={}))[-1]
    assert isinstance(reply, ModelReply)
    assert (reply.stop, reply.tool_calls) == ("length", ())


@pytest.mark.parametrize(
    ("payloads", "kind"),
    [
        ((text("a"),), FailureKind.UNREACHABLE),
        ((text("a"), b"[DONE]"), FailureKind.UNREACHABLE),
        ((b"{}",), FailureKind.FORMAT),
        ((b"[1]",), FailureKind.FORMAT),
        ((event("response.output_text.delta"),), FailureKind.FORMAT),
        ((event("response.output_text.delta", delta=5),), FailureKind.FORMAT),
        ((event("response.output_item.done"),), FailureKind.FORMAT),
        ((event("response.completed"),), FailureKind.FORMAT),
        ((event("response.completed", response={"usage": {"input_tokens": 1}}),), "format"),
        ((call("c1", "[]"), COMPLETED), FailureKind.FORMAT),
        ((call("", "{}"), COMPLETED), FailureKind.FORMAT),
        ((call("c1", "{}"), call("c1", "{}"), COMPLETED), FailureKind.FORMAT),
        ((event("error", code="rate_limit_exceeded", message="x"),), FailureKind.RATE_LIMITED),
        ((event("error", error={"code": "insufficient_quota"}),), FailureKind.BILLING),
        (
            (event("response.failed", response={"error": {"code": "server_error"}}),),
            FailureKind.OVERLOADED,
        ),
        (
            (event("response.failed", response={"error": {"code": "invalid_prompt"}}),),
            FailureKind.FORMAT,
        ),
    ],
)
def test_broken_streams_are_failures(payloads: tuple[bytes, ...], kind: FailureKind) -> None:
    with pytest.raises(ModelFailure) as raised:
        read(*payloads)
    assert raised.value.kind == kind, str(raised.value)
