"""What Anthropic's messages endpoint refuses with status 400."""

from __future__ import annotations

from typing import Any

from tests.fakes.model_checks import (
    ANTHROPIC_ID,
    TOOL_NAME,
    Json,
    _known,
    _picture,
    _schema,
    _text,
    _unique,
    need,
    signature,
)
from tests.fakes.model_plan import Asked, Said


def check_messages(body: Json) -> Asked:
    _known(
        body,
        "model messages max_tokens system stream tools tool_choice thinking temperature metadata "
        "stop_sequences",
        "Extra inputs are not permitted",
    )
    need(isinstance(body.get("model"), str) and body["model"], "model: Field required")
    limit = body.get("max_tokens")
    need(isinstance(limit, int) and limit > 0, "max_tokens: Field required")
    thinking = body.get("thinking")
    if thinking:
        need(thinking.get("type") == "enabled", "thinking.type")
        budget = thinking.get("budget_tokens")
        need(isinstance(budget, int) and budget >= 1024, "thinking.budget_tokens: at least 1024")
        need(budget < limit, "`max_tokens` must be greater than `thinking.budget_tokens`")
    for place, tool in enumerate(body.get("tools") or []):
        need(TOOL_NAME.fullmatch(str(tool.get("name"))), f"tools.{place}.name")
        _schema(tool.get("input_schema"), f"tools.{place}.input_schema")
    _unique([tool["name"] for tool in body.get("tools") or []])
    need(_marks(body) <= 4, "A maximum of 4 blocks with cache_control may be provided.")
    system = body.get("system", "")
    if isinstance(system, list):
        need(all(part.get("text", "").strip() for part in system), "system: text is blank")
    messages = body.get("messages")
    need(isinstance(messages, list) and messages, "messages: at least one message is required")
    assert isinstance(messages, list)
    conversation = _messages(messages)
    if thinking:
        _thinking_kept(messages)
    return Asked(
        body["model"],
        _text(system, "system") if system else "",
        conversation,
        thinking=bool(thinking),
    )


def _marks(body: Any) -> int:
    """How many cache marks there are, wherever they may stand."""
    if isinstance(body, list):
        return sum(map(_marks, body))
    if not isinstance(body, dict):
        return 0
    mark = body.get("cache_control")
    if mark:
        need(mark.get("type") == "ephemeral", "cache_control.type")
        need("thinking" not in str(body.get("type")), "cache_control: not on thinking blocks")
    return bool(mark) + sum(map(_marks, body.values()))


def _messages(messages: list[Json]) -> list[Said]:
    conversation: list[Said] = []
    open_ids: set[str] = set()
    for place, message in enumerate(messages):
        where, role = f"messages.{place}", message.get("role")
        need(role == ("assistant" if place % 2 else "user"), f"{where}: roles must alternate")
        blocks = message.get("content")
        if isinstance(blocks, str):
            blocks = [{"type": "text", "text": blocks}]
        need(isinstance(blocks, list) and blocks, f"{where}: content must not be empty")
        assert isinstance(blocks, list)
        for block in blocks:
            if block.get("type") == "text":
                need(str(block.get("text", "")).strip(), f"{where}: text must not be blank")
        if role == "user":
            conversation += _user(blocks, open_ids, where)
            open_ids = set()
        else:
            open_ids = _assistant(blocks, where)
            text = "".join(block["text"] for block in blocks if block["type"] == "text")
            conversation.append(Said("assistant", text, len(open_ids)))
    need(not open_ids, _without_results(open_ids))
    return conversation


def _without_results(ids: set[str]) -> str:
    return f"`tool_use` ids were found without `tool_result` blocks immediately after: {ids}"


def _user(blocks: list[Json], open_ids: set[str], where: str) -> list[Said]:
    answered: set[str] = set()
    said: list[Said] = []
    for block in blocks:
        if block.get("type") == "tool_result":
            need(not any(one.role == "user" for one in said), f"{where}: tool results come first")
            call_id = str(block.get("tool_use_id"))
            need(call_id in open_ids, f"{where}: unexpected `tool_use_id`: {call_id}")
            need(call_id not in answered, f"{where}: two results for {call_id}")
            answered.add(call_id)
            said.append(Said("tool", _text(block.get("content", ""), where)))
        elif block.get("type") == "image":
            source = block.get("source") or {}
            need(source.get("type") == "base64", f"{where}: image.source.type")
            said.append(
                Said("user", f"<{_picture(source.get('media_type'), source.get('data'), where)}>")
            )
        else:
            need(block.get("type") == "text", f"{where}: {block.get('type')} of a user")
            said.append(Said("user", block["text"]))
    need(answered == open_ids, _without_results(open_ids - answered))
    return said


def _assistant(blocks: list[Json], where: str) -> set[str]:
    ids: set[str] = set()
    for block in blocks:
        match block.get("type"):
            case "tool_use":
                need(ANTHROPIC_ID.fullmatch(str(block.get("id"))), f"{where}: tool_use.id")
                need(block["id"] not in ids, "`tool_use` ids must be unique")
                need(TOOL_NAME.fullmatch(str(block.get("name"))), f"{where}: tool_use.name")
                need(isinstance(block.get("input"), dict), f"{where}: tool_use.input")
                ids.add(block["id"])
            case "thinking":
                known = block.get("signature") == signature(str(block.get("thinking")))
                need(known, f"{where}: Invalid `signature` in `thinking` block")
            case "redacted_thinking":
                known = str(block.get("data")) == signature("redacted")
                need(known, f"{where}: Invalid `data` in `redacted_thinking` block")
            case kind:
                need(kind == "text", f"{where}: {kind} of an assistant")
    return ids


def _thinking_kept(messages: list[Json]) -> None:
    """A step that goes on must go on with the thinking that it began with."""
    last = messages[-1]["content"]
    if isinstance(last, str) or last[0].get("type") != "tool_result":
        return
    need(
        "thinking" in messages[-2]["content"][0]["type"],
        "Expected `thinking` or `redacted_thinking`, but found another block. When `thinking` is "
        "enabled, a final `assistant` message must start with a thinking block.",
    )
