"""How each vendor puts an answer on the wire: lists of frames, one server-sent event each."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import orjson

from tests.fakes.model_checks import signature
from tests.fakes.model_plan import Asked, Plan

CREATED = 1_760_000_000
_PIECES = re.compile(r"\S+\s*|\s+")

Json = dict[str, Any]


def written(plan: Plan) -> int:
    """Tokens of the answer: words stand in for them."""
    return len(plan.text.split()) + sum(len(arguments) for _, arguments in plan.calls)


def pieces(text: str) -> list[str]:
    return _PIECES.findall(text)


def fragments(arguments: str) -> list[str]:
    """Arguments as models stream them: cut anywhere."""
    return [arguments[place : place + 7] for place in range(0, len(arguments), 7)]


def data(body: Json) -> bytes:
    return b"data: " + orjson.dumps(body) + b"\n\n"


def named(body: Json) -> bytes:
    return f"event: {body['type']}\n".encode() + data(body)


# --- OpenAI chat completions


def _chunk(model: str, delta: Json, finish: str | None = None) -> Json:
    return {
        "id": "chatcmpl-fake",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": model,
        "service_tier": "default",
        "system_fingerprint": "fp_fake",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
        "usage": None,
    }


@lru_cache(maxsize=64)
def _chat_words(model: str, text: str, field: str) -> tuple[bytes, ...]:
    return tuple(data(_chunk(model, {field: piece})) for piece in pieces(text))


def chat(asked: Asked, plan: Plan) -> list[bytes]:
    model = asked.model
    field = "refusal" if plan.stop == "refused" else "content"
    frames = [data(_chunk(model, {"role": "assistant", "content": "", "refusal": None}))]
    if plan.thought:
        frames += _chat_words(model, plan.thought, "reasoning_content")
    frames += _chat_words(model, plan.text, field)
    for place, (name, arguments) in enumerate(plan.calls):
        begins = {
            "index": place,
            "id": f"call_{len(asked.conversation)}_{place}",
            "type": "function",
            "function": {"name": name, "arguments": ""},
        }
        frames.append(data(_chunk(model, {"tool_calls": [begins]})))
        for fragment in fragments(arguments):
            more = {"index": place, "function": {"arguments": fragment}}
            frames.append(data(_chunk(model, {"tool_calls": [more]})))
    finish = {"length": "length"}.get(plan.stop, "tool_calls" if plan.calls else "stop")
    frames.append(data(_chunk(model, {}, finish)))
    if asked.include_usage and "no-usage" not in plan.marks:
        usage = {
            "prompt_tokens": asked.seen.total,
            "completion_tokens": written(plan),
            "total_tokens": asked.seen.total + written(plan),
            "prompt_tokens_details": {"cached_tokens": asked.seen.cached, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        }
        frames.append(data({**_chunk(model, {}), "choices": [], "usage": usage}))
    if "no-done" not in plan.marks:
        frames.append(b"data: [DONE]\n\n")
    return frames


# --- OpenAI responses


class _Response:
    """Numbers the events of one response and keeps its finished items."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.frames: list[bytes] = []
        self.output: list[Json] = []
        self._number = 0

    def event(self, kind: str, **fields: Any) -> None:
        self.frames.append(named({"type": kind, "sequence_number": self._number, **fields}))
        self._number += 1

    def item(self, item: Json, parts: list[tuple[str, Json]], **finished: Any) -> None:
        place = len(self.output)
        at = {"item_id": item["id"], "output_index": place}
        self.event(
            "response.output_item.added",
            output_index=place,
            item={**item, "status": "in_progress"},
        )
        for kind, fields in parts:
            self.event(kind, **at, **fields)
        done = {**item, **finished, "status": "completed"}
        self.output.append(done)
        self.event("response.output_item.done", output_index=place, item=done)

    def body(self, status: str, **fields: Any) -> Json:
        return {
            "id": "resp_fake",
            "object": "response",
            "created_at": CREATED,
            "status": status,
            "model": self.asked.model,
            "output": self.output,
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "error": None,
            "incomplete_details": None,
            "usage": None,
            **fields,
        }


def responses(asked: Asked, plan: Plan) -> list[bytes]:
    stream = _Response(asked)
    stream.event("response.created", response=stream.body("in_progress"))
    stream.event("response.in_progress", response=stream.body("in_progress"))
    if plan.thought:
        summary = [{"type": "summary_text", "text": plan.thought}]
        kind = "response.reasoning_summary_text.delta"
        stream.item(
            {"id": "rs_fake", "type": "reasoning", "summary": []},
            [(kind, {"summary_index": 0, "delta": piece}) for piece in pieces(plan.thought)],
            summary=summary,
            encrypted_content=signature(plan.thought),
        )
    if plan.text:
        _response_message(stream, plan)
    for place, (name, arguments) in enumerate(plan.calls):
        call_id = f"call_{len(asked.conversation)}_{place}"
        kind = "response.function_call_arguments."
        parts: list[tuple[str, Json]] = [
            (kind + "delta", {"delta": fragment}) for fragment in fragments(arguments)
        ]
        parts.append((kind + "done", {"arguments": arguments, "name": name}))
        stream.item(
            {
                "id": f"fc_{place}",
                "type": "function_call",
                "call_id": call_id,
                "name": name,
                "arguments": "",
            },
            parts,
            arguments=arguments,
        )
    usage = {
        "input_tokens": asked.seen.total,
        "input_tokens_details": {"cached_tokens": asked.seen.cached, "cache_write_tokens": 0},
        "output_tokens": written(plan),
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": asked.seen.total + written(plan),
    }
    if plan.stop == "length":
        reason = {"reason": "max_output_tokens"}
        body = stream.body("incomplete", usage=usage, incomplete_details=reason)
        stream.event("response.incomplete", response=body)
    else:
        stream.event("response.completed", response=stream.body("completed", usage=usage))
    return stream.frames


def _response_message(stream: _Response, plan: Plan) -> None:
    refused = plan.stop == "refused"
    name = "refusal" if refused else "output_text"
    field = "refusal" if refused else "text"
    extra: Json = {} if refused else {"logprobs": []}
    empty: Json = {"type": name, field: "", **({} if refused else {"annotations": []})}
    full = {**empty, field: plan.text}
    at = {"content_index": 0}
    parts: list[tuple[str, Json]] = [("response.content_part.added", {**at, "part": empty})]
    parts += [
        (f"response.{name}.delta", {**at, "delta": piece, **extra}) for piece in pieces(plan.text)
    ]
    parts.append((f"response.{name}.done", {**at, field: plan.text, **extra}))
    parts.append(("response.content_part.done", {**at, "part": full}))
    item: Json = {"id": "msg_fake", "type": "message", "role": "assistant", "content": []}
    stream.item(item, parts, content=[full])


# --- Anthropic messages


@lru_cache(maxsize=64)
def _message_words(text: str, place: int, kind: str, field: str) -> tuple[bytes, ...]:
    return tuple(
        named(
            {"type": "content_block_delta", "index": place, "delta": {"type": kind, field: piece}}
        )
        for piece in pieces(text)
    )


def messages(asked: Asked, plan: Plan) -> list[bytes]:
    seen = asked.seen
    usage = {
        "input_tokens": seen.total - seen.cached - seen.written,
        "cache_creation_input_tokens": seen.written,
        "cache_read_input_tokens": seen.cached,
        "output_tokens": 1,
    }
    message: Json = {
        "id": "msg_fake",
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    frames = [named({"type": "message_start", "message": message}), named({"type": "ping"})]
    for place, (start, deltas) in enumerate(_message_blocks(asked, plan)):
        begun = {"type": "content_block_start", "index": place, "content_block": start}
        frames.append(named(begun))
        for kind, field, text in deltas:
            if kind == "text_delta":
                frames += _message_words(text, place, kind, field)
            else:
                part = {"type": kind, field: text}
                frames.append(named({"type": "content_block_delta", "index": place, "delta": part}))
        frames.append(named({"type": "content_block_stop", "index": place}))
    stop = {"length": "max_tokens", "refused": "refusal"}.get(
        plan.stop, "tool_use" if plan.calls else "end_turn"
    )
    delta: Json = {"stop_reason": stop, "stop_sequence": None}
    ending: Json = {
        "type": "message_delta",
        "delta": delta,
        "usage": {"output_tokens": written(plan)},
    }
    return [*frames, named(ending), named({"type": "message_stop"})]


Delta = tuple[str, str, str]


def _message_blocks(asked: Asked, plan: Plan) -> list[tuple[Json, list[Delta]]]:
    blocks: list[tuple[Json, list[Delta]]] = []
    if plan.thought:
        thought: list[Delta] = [
            ("thinking_delta", "thinking", piece) for piece in pieces(plan.thought)
        ]
        thought.append(("signature_delta", "signature", signature(plan.thought)))
        blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, thought))
    if "redacted" in plan.marks:
        blocks.append(({"type": "redacted_thinking", "data": signature("redacted")}, []))
    if plan.text:
        blocks.append(({"type": "text", "text": ""}, [("text_delta", "text", plan.text)]))
    for number, (name, arguments) in enumerate(plan.calls):
        call_id = f"toolu_{len(asked.conversation)}_{number}"
        start = {"type": "tool_use", "id": call_id, "name": name, "input": {}}
        fragments_ = [
            ("input_json_delta", "partial_json", part)
            for part in ["", *(fragments(arguments) if arguments != "{}" else [])]
        ]
        blocks.append((start, fragments_))
    return blocks
