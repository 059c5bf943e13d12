"""The strictness of the real vendors: what each refuses with status 400, the fake refuses too."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

from tests.fakes.model_plan import Asked, Said

TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
ANTHROPIC_ID = re.compile(r"[a-zA-Z0-9_-]+")

Json = dict[str, Any]


class Rejected(Exception):
    """The vendor would answer 400 with this message."""


def signature(text: str) -> str:
    """The mark by which a vendor knows its own thinking again."""
    return "sig-" + hashlib.sha256(text.encode()).hexdigest()[:24]


def need(condition: object, message: str) -> None:
    if not condition:
        raise Rejected(message)


def _known(body: Json, known: str, message: str) -> None:
    for name in body:
        need(name in known.split(), f"{message}: {name}")


def _schema(schema: object, where: str) -> None:
    need(isinstance(schema, dict) and schema.get("type") == "object", f"{where}: not an object")


def _unique(names: list[str]) -> None:
    need(len(set(names)) == len(names), "tool names must be unique")


def _text(content: object, where: str, kinds: tuple[str, ...] = ("text",)) -> str:
    """The text of a content that is a string or a list of text parts."""
    if isinstance(content, str):
        return content
    need(isinstance(content, list) and content, f"{where}: content must be text or parts")
    assert isinstance(content, list)
    for part in content:
        need(isinstance(part, dict) and part.get("type") in kinds, f"{where}: unknown part")
        need(isinstance(part.get("text"), str), f"{where}: a part without text")
    return "".join(part["text"] for part in content)


_PICTURES = {
    "image/png": b"\x89PNG",
    "image/jpeg": b"\xff\xd8\xff",
    "image/gif": b"GIF8",
    "image/webp": b"RIFF",
}


def _picture(content_type: object, data: object, where: str) -> str:
    """A picture as every vendor wants it: of a type that it knows, and really of that type."""
    need(content_type in _PICTURES, f"{where}: unsupported image type {content_type}")
    try:
        content = base64.b64decode(str(data), validate=True)
    except ValueError:
        raise Rejected(f"{where}: the image is no base64") from None
    need(content.startswith(_PICTURES[str(content_type)]), f"{where}: could not process image")
    need(len(str(data)) <= 5 * 1024 * 1024, f"{where}: image exceeds 5 MB maximum")
    return f"{content_type} of {len(content)} bytes"


def _data_url(url: object, where: str) -> str:
    kind, _, data = str(url).removeprefix("data:").partition(";base64,")
    return _picture(kind, data, where)


def _user(content: object, where: str, text_kind: str, picture_kind: str) -> str:
    """What a user's content says: its texts, and what its pictures are."""
    if isinstance(content, str):
        return content
    need(isinstance(content, list) and content, f"{where}: content must be text or parts")
    assert isinstance(content, list)
    said: list[str] = []
    for part in content:
        need(isinstance(part, dict) and "type" in part, f"{where}: unknown part")
        if part["type"] != picture_kind:
            said.append(_text([part], where, (text_kind,)))
            continue
        url = part.get("image_url")
        if picture_kind == "image_url":
            need(isinstance(url, dict), f"{where}: image_url must be an object")
            url = url["url"]
        else:
            need(part.get("detail", "auto") in ("auto", "low", "high"), f"{where}: detail")
        said.append(f"<{_data_url(url, where)}>")
    return "".join(said)


# --- OpenAI chat completions


def check_chat(body: Json) -> Asked:
    _known(
        body,
        "model messages stream stream_options tools tool_choice parallel_tool_calls temperature "
        "max_tokens max_completion_tokens user metadata store reasoning_effort prompt_cache_key",
        "Unrecognized request argument supplied",
    )
    need(isinstance(body.get("model"), str) and body["model"], "you must provide a model parameter")
    messages = body.get("messages")
    need(isinstance(messages, list) and messages, "[] is too short - 'messages'")
    assert isinstance(messages, list)
    need(
        not ("max_tokens" in body and "max_completion_tokens" in body),
        "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
    )
    need(body.get("stream") or "stream_options" not in body, "stream_options needs stream")
    _chat_tools(body.get("tools"))
    system: list[str] = []
    conversation: list[Said] = []
    open_ids: list[str] = []
    for place, message in enumerate(messages):
        where = f"messages.[{place}]"
        need(isinstance(message, dict), f"{where}: not an object")
        role = message.get("role")
        if role == "tool":
            call_id = message.get("tool_call_id")
            need(
                call_id in open_ids,
                "messages with role 'tool' must be a response to a preceding message with "
                "'tool_calls'.",
            )
            open_ids.remove(call_id)
            conversation.append(Said("tool", _text(message.get("content"), where)))
            continue
        _all_answered(open_ids)
        if role in {"system", "developer"}:
            system.append(_text(message.get("content"), where))
        elif role == "user":
            said_by_user = _user(message.get("content"), where, "text", "image_url")
            conversation.append(Said("user", said_by_user))
        elif role == "assistant":
            said, open_ids = _chat_assistant(message, where)
            conversation.append(said)
        else:
            raise Rejected(f"{where}.role: invalid value: {role!r}")
    _all_answered(open_ids)
    options = body.get("stream_options") or {}
    return Asked(
        body["model"],
        "\n".join(system),
        conversation,
        include_usage=bool(options.get("include_usage")),
    )


def _all_answered(open_ids: list[str]) -> None:
    need(
        not open_ids,
        "An assistant message with 'tool_calls' must be followed by tool messages responding to "
        f"each 'tool_call_id'. Without a response: {', '.join(open_ids)}",
    )


def _chat_tools(tools: object) -> None:
    if tools is None:
        return
    need(isinstance(tools, list) and tools, "[] is too short - 'tools'")
    assert isinstance(tools, list)
    for place, tool in enumerate(tools):
        need(isinstance(tool, dict) and tool.get("type") == "function", f"tools.[{place}].type")
        function = tool.get("function")
        need(isinstance(function, dict), f"tools.[{place}].function")
        need(TOOL_NAME.fullmatch(str(function.get("name"))), f"tools.[{place}].function.name")
        if "parameters" in function:
            _schema(function["parameters"], f"tools.[{place}].function.parameters")
    _unique([tool["function"]["name"] for tool in tools])


def _chat_assistant(message: Json, where: str) -> tuple[Said, list[str]]:
    calls = message.get("tool_calls")
    content = message.get("content")
    if calls is None:
        return Said("assistant", _text(content, where, ("text", "refusal"))), []
    need(isinstance(calls, list) and calls, f"[] is too short - '{where}.tool_calls'")
    for call in calls:
        need(isinstance(call.get("id"), str) and 0 < len(call["id"]) <= 40, f"{where}: call id")
        need(call.get("type") == "function", f"{where}: call type")
        function = call.get("function")
        need(isinstance(function, dict), f"{where}: call function")
        need(TOOL_NAME.fullmatch(str(function.get("name"))), f"{where}: call name")
        need(isinstance(function.get("arguments"), str), f"{where}: call arguments")
    ids = [call["id"] for call in calls]
    need(len(set(ids)) == len(ids), f"{where}: duplicate call ids")
    text = "" if content is None else _text(content, where)
    return Said("assistant", text, len(calls)), ids


# --- OpenAI responses


def check_responses(body: Json) -> Asked:
    _known(
        body,
        "model input instructions stream store include tools tool_choice max_output_tokens "
        "reasoning temperature parallel_tool_calls metadata user text prompt_cache_key",
        "Unknown parameter",
    )
    need(isinstance(body.get("model"), str) and body["model"], "Missing required parameter: model")
    need(body.get("max_output_tokens", 16) >= 16, "max_output_tokens: below minimum value 16")
    include = body.get("include") or []
    need(set(include) <= {"reasoning.encrypted_content"}, "include: unknown value")
    need(
        not (include and body["model"].startswith("gpt-4")),
        "Encrypted content is not supported with this model.",
    )
    for place, tool in enumerate(body.get("tools") or []):
        need(tool.get("type") == "function", f"tools[{place}].type")
        need(TOOL_NAME.fullmatch(str(tool.get("name"))), f"tools[{place}].name")
        _schema(tool.get("parameters"), f"tools[{place}].parameters")
        if tool.get("strict", True):
            _strict_schema(tool["parameters"], f"tools[{place}]")
    items = body.get("input")
    if isinstance(items, str):
        items = [{"role": "user", "content": items}]
    need(isinstance(items, list) and items, "Missing required parameter: input")
    assert isinstance(items, list)
    conversation = _response_items(items)
    return Asked(
        body["model"], body.get("instructions") or "", conversation, thinking=bool(include)
    )


def _strict_schema(schema: Json, where: str) -> None:
    need(schema.get("additionalProperties") is False, f"{where}: additionalProperties")
    names = set(schema.get("properties") or {})
    need(names == set(schema.get("required") or []), f"{where}: 'required' must name every key")


def _response_items(items: list[Json]) -> list[Said]:
    conversation: list[Said] = []
    open_calls: list[str] = []
    for place, item in enumerate(items):
        where = f"input[{place}]"
        kind = item.get("type", "message")
        if kind == "function_call":
            need(isinstance(item.get("call_id"), str), f"{where}.call_id")
            need(TOOL_NAME.fullmatch(str(item.get("name"))), f"{where}.name")
            need(isinstance(item.get("arguments"), str), f"{where}.arguments")
            open_calls.append(item["call_id"])
            if conversation and conversation[-1].role == "assistant":
                last = conversation.pop()
                conversation.append(Said("assistant", last.text, last.calls + 1))
            else:
                conversation.append(Said("assistant", "", 1))
        elif kind == "function_call_output":
            need(
                item.get("call_id") in open_calls,
                f"No tool call found for function call output with call_id {item.get('call_id')}.",
            )
            open_calls.remove(item["call_id"])
            conversation.append(Said("tool", _text(item.get("output"), where)))
        elif kind == "reasoning":
            _reasoning(item, items[place + 1 :], where)
        elif kind == "message":
            need(not open_calls, f"No tool output found for function call {open_calls[:1]}.")
            role = item.get("role")
            need(role in {"user", "assistant", "system", "developer"}, f"{where}.role")
            if role == "assistant":
                text = _text(item.get("content"), where, ("output_text",))
            else:
                text = _user(item.get("content"), where, "input_text", "input_image")
            if role in {"user", "assistant"}:
                conversation.append(Said("user" if role == "user" else "assistant", text))
        else:
            raise Rejected(f"{where}.type: invalid value {kind!r}")
    need(not open_calls, f"No tool output found for function call {open_calls[:1]}.")
    return conversation


def _reasoning(item: Json, following: list[Json], where: str) -> None:
    need(isinstance(item.get("id"), str), f"{where}.id")
    need(isinstance(item.get("summary"), list), f"{where}.summary")
    text = "".join(part.get("text", "") for part in item["summary"])
    need(
        item.get("encrypted_content") == signature(text),
        f"{where}: the encrypted content could not be verified",
    )
    following = [one for one in following if one.get("type") != "reasoning"]
    need(
        following
        and following[0].get("role") != "user"
        and following[0].get("type") != "function_call_output",
        f"Item '{item['id']}' of type 'reasoning' was provided without its required following "
        "item.",
    )
