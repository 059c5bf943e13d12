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
    ToolCall,
    ToolMessage,
    ToolSpec,
    Usage,
    UserMessage,
)
from opencraw.providers.dialect import MOST_CALLS, cache_key
from opencraw.providers.openai_chat import ChatReader, OpenAiChat
from opencraw.providers.settings import Profile

SCHEMA: dict[str, object] = {"type": "object", "properties": {}}
PROMPT = Prompt(
    "Be brief.",
    (
        UserMessage("hi"),
        AssistantMessage("", (ToolCall("c1", "look_up", '{"a": 1}'),), (Thinking("x", "y"),)),
        ToolMessage("c1", "look_up", "nothing", failed=True),
        AssistantMessage("I found nothing."),
    ),
    (ToolSpec("look_up", "Look up.", SCHEMA),),
)


def dialect(**fields: Any) -> OpenAiChat:
    return OpenAiChat(Profile(provider="openai", model="gpt", **fields))


def test_a_prompt_becomes_a_request() -> None:
    assert dialect().translate(PROMPT) == {
        "model": "gpt",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "hi"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "look_up", "arguments": '{"a": 1}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "nothing"},
            {"role": "assistant", "content": "I found nothing."},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_completion_tokens": 4096,
        "prompt_cache_key": cache_key(PROMPT),
        "tools": [
            {
                "type": "function",
                "function": {"name": "look_up", "description": "Look up.", "parameters": SCHEMA},
            }
        ],
    }


def test_other_servers_are_asked_in_the_older_words() -> None:
    elsewhere = dialect(base_url="http://localhost:11434/v1/", max_output_tokens=99)
    body = elsewhere.translate(Prompt("", (UserMessage("hi"),)))
    assert body["max_tokens"] == 99
    assert not {"max_completion_tokens", "prompt_cache_key", "tools"} & set(body)
    assert [message["role"] for message in body["messages"]] == ["user"]
    assert elsewhere.url == "http://localhost:11434/v1/chat/completions"


def test_a_key_is_a_bearer_token() -> None:
    assert dialect().headers("sk") == {"Authorization": "Bearer sk"}
    assert dialect().headers(None) == {}


def chunk(delta: dict[str, Any] | None = None, **fields: Any) -> bytes:
    finish = fields.pop("finish", None)
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return json.dumps({"choices": choices, **fields}).encode()


def call(index: int | None, call_id: str | None, name: str | None, arguments: str | None) -> bytes:
    part: dict[str, Any] = {"function": {"name": name, "arguments": arguments}}
    if index is not None:
        part["index"] = index
    if call_id is not None:
        part["id"] = call_id
    return chunk({"tool_calls": [part]})


DONE = b"[DONE]"
STOP = chunk({}, finish="stop")
CALLS = chunk({}, finish="tool_calls")


def read(*payloads: bytes) -> list[ModelEvent]:
    reader = ChatReader("openai/gpt")
    events = reader.read(list(payloads))
    if not (events and isinstance(events[-1], ModelReply)):
        events += reader.end()
    return events


def last(*payloads: bytes) -> ModelReply:
    reply = read(*payloads)[-1]
    assert isinstance(reply, ModelReply)
    return reply


@pytest.mark.parametrize(
    "payloads",
    [
        (chunk({"role": "assistant"}), chunk({"content": "hi"}), STOP, DONE),
        (chunk({"role": "assistant", "content": None}), chunk({"content": "hi"}), STOP),
        (chunk(), chunk({"content": "hi"}, finish="stop"), chunk(), DONE),
        (chunk({"content": "hi", "tool_calls": None}, finish="eos", usage=None), DONE),
        (chunk({"content": "hi", "tool_calls": []}, finish="stop", error=None), DONE),
    ],
)
def test_what_compatible_servers_leave_out_is_forgiven(payloads: tuple[bytes, ...]) -> None:
    assert read(*payloads) == [TextDelta("hi"), ModelReply("hi")]


def test_usage_comes_with_the_last_chunk() -> None:
    told = {
        "prompt_tokens": 9,
        "completion_tokens": 2,
        "prompt_tokens_details": {"cached_tokens": 4},
    }
    assert last(STOP, chunk(usage=told), DONE).usage == Usage(9, 2, 4)


@pytest.mark.parametrize(
    "payloads",
    [
        (call(0, "a", "f", ""), call(1, "b", "g", ""), call(0, None, None, "{}")),
        (call(0, "a", "f", "{"), call(0, "a", "f", "}"), call(1, "b", "g", None)),
        (call(None, "a", "f", "{"), call(None, None, None, "}"), call(None, "b", "g", "{}")),
        (call(0, "a", "f", "{}"), call(0, "b", "g", "{}")),
        (call(0, None, "f", "{}"), call(0, "a", None, None), call(1, "b", "g", " ")),
    ],
)
@pytest.mark.parametrize("ending", [CALLS, STOP])
def test_tool_calls_are_put_together(payloads: tuple[bytes, ...], ending: bytes) -> None:
    reply = last(*payloads, ending, DONE)
    assert reply.tool_calls == (ToolCall("a", "f", "{}"), ToolCall("b", "g", "{}"))
    assert reply.stop == "tool_calls"


def test_a_delta_may_bring_several_things() -> None:
    part = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}
    events = read(
        chunk({"content": "so", "reasoning_content": "hm", "tool_calls": [part]}), CALLS, DONE
    )
    assert [type(event).__name__ for event in events] == [
        "TextDelta",
        "ThinkingDelta",
        "ModelReply",
    ]


@pytest.mark.parametrize(
    ("payloads", "kind"),
    [
        ((chunk({"content": "hi"}),), FailureKind.UNREACHABLE),
        ((), FailureKind.UNREACHABLE),
        ((chunk({"content": "hi"}), DONE), FailureKind.FORMAT),
        ((chunk({}, finish="error"), DONE), FailureKind.OVERLOADED),
        ((CALLS, DONE), FailureKind.FORMAT),
        ((call(0, "a", "f", "{"), CALLS, DONE), FailureKind.FORMAT),
        ((call(0, "a", None, "{}"), CALLS, DONE), FailureKind.FORMAT),
        ((call(0, None, "f", "{}"), CALLS, DONE), FailureKind.FORMAT),
        ((call(0, "a", "f", ""), call(0, None, "g", ""), CALLS, DONE), FailureKind.FORMAT),
        ((call(0, "a", "f", ""), call(1, "a", "g", ""), CALLS, DONE), FailureKind.FORMAT),
        ((b"{}",), FailureKind.FORMAT),
        ((b"[]",), FailureKind.FORMAT),
        ((b'{"choices":[{"finish_reason":"stop"}]}',), FailureKind.FORMAT),
        ((b'{"choices":[{"delta":{"content":7}}]}',), FailureKind.FORMAT),
        ((b'{"choices":[{"delta":{"content":"\xff"}}]}',), FailureKind.FORMAT),
        ((b'{"choices":[{"delta":{"content":"\\ud800"}}]}',), FailureKind.FORMAT),
        ((b'{"choices":[],"x":' + b"[" * 100_000,), FailureKind.FORMAT),
        ((b'{"error":{"message":"x","code":"rate_limit_exceeded"}}',), FailureKind.RATE_LIMITED),
        ((b'{"error":{"message":"x","code":402},"choices":[]}',), FailureKind.BILLING),
        ((b'{"object":"error","message":"no"}',), FailureKind.OVERLOADED),
    ],
)
def test_what_would_be_lost_is_not_forgiven(payloads: tuple[bytes, ...], kind: FailureKind) -> None:
    with pytest.raises(ModelFailure) as raised:
        read(*payloads)
    assert raised.value.kind == kind, str(raised.value)


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_calls_of_an_answer_that_was_cut_are_not_made(reason: str) -> None:
    reply = last(call(0, "a", "wipe", ""), chunk({}, finish=reason), DONE)
    assert reply.tool_calls == ()
    assert reply.stop in {"length", "refused"}


def test_calls_without_end_are_refused_when_there_is_one_too_many() -> None:
    reader = ChatReader("openai/gpt")
    for number in range(MOST_CALLS):
        reader.read([call(number, f"c{number}", "f", "{}")])
    with pytest.raises(ModelFailure, match="tool calls at once"):
        reader.read([call(MOST_CALLS, "more", "f", "{}")])
