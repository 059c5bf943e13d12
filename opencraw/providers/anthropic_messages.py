"""Anthropic's messages.

Roles must alternate and a tool's result belongs to a user's message, so neighbours are merged.
Three marks let the vendor keep the unchanging beginning of a conversation warm: one after the tools
and the system prompt, one after the newest message, where the next request will find it, and one
where the request before had it: from a mark the vendor looks back over twenty blocks only, and one
step may bring more. Thinking goes back as it came, signature included, or not at all.

Events and deltas of unknown types are passed over, as the vendor's versioning asks of clients.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from opencraw.errors import FailureKind
from opencraw.model import (
    AssistantMessage,
    Message,
    ModelEvent,
    ModelReply,
    Picture,
    Prompt,
    StopReason,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolMessage,
    Usage,
    UserMessage,
)
from opencraw.providers.dialect import Body, as_object, base64_of, clean, distinct, tool_call
from opencraw.providers.failures import (
    Signs,
    Table,
    broken,
    classify,
    cut,
    read_complaint,
    refusal,
)
from opencraw.providers.settings import VENDOR_URLS, Profile

NAME = "anthropic"
VERSION = "2023-06-01"

TABLE: Table = (
    (
        FailureKind.BILLING,
        Signs(
            frozenset({"billing_error", "enforced_spend_limit_reached"}),
            ("credit balance is too low", "api usage limits"),
        ),
    ),
    (FailureKind.AUTH, Signs(frozenset({"authentication_error", "permission_error"}))),
    (FailureKind.RATE_LIMITED, Signs(frozenset({"rate_limit_error"}))),
    (FailureKind.OVERLOADED, Signs(frozenset({"overloaded_error"}))),
    (FailureKind.TIMEOUT, Signs(frozenset({"timeout_error"}))),
    (
        FailureKind.CONTEXT_OVERFLOW,
        Signs(
            frozenset({"request_too_large"}),
            ("prompt is too long", "exceed context limit", "exceeds the context window"),
        ),
    ),
    (FailureKind.FORMAT, Signs(frozenset({"invalid_request_error", "not_found_error"}))),
)

_STOPS: Mapping[str, StopReason] = {
    "end_turn": "end",
    "stop_sequence": "end",
    "pause_turn": "end",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "refused",
}

_MARK = {"cache_control": {"type": "ephemeral"}}
_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")


class _Delta(msgspec.Struct, gc=False):
    type: str | None = None
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    stop_reason: str | None = None


class _Block(msgspec.Struct, gc=False):
    type: str
    text: str = ""
    id: str | None = None
    name: str | None = None
    thinking: str = ""
    signature: str = ""
    data: str = ""
    input: msgspec.Raw = msgspec.Raw(b"{}")


class _Usage(msgspec.Struct, gc=False):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None


class _Message(msgspec.Struct, gc=False):
    usage: _Usage


class _Event(msgspec.Struct, gc=False):
    type: str
    index: int | None = None
    delta: _Delta | None = None
    content_block: _Block | None = None
    message: _Message | None = None
    usage: _Usage | None = None


class _Type(msgspec.Struct, gc=False):
    type: str


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_type = msgspec.json.Decoder(_Type).decode

_KNOWN = frozenset(
    {
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "error",
    }
)


class AnthropicMessages:
    """The dialect of `/v1/messages`."""

    table = TABLE

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        base = profile.base_url or VENDOR_URLS[NAME]
        self.url = base.removesuffix("/v1") + "/v1/messages"

    def headers(self, key: str | None) -> Mapping[str, str]:
        """The vendor's own header, and the version of the format that this file speaks."""
        return {"anthropic-version": VERSION, **({"x-api-key": key} if key else {})}

    def reader(self) -> MessageReader:
        """A reader for one answer."""
        return MessageReader(self._profile.label)

    def translate(self, prompt: Prompt) -> Body:
        """The request body."""
        messages: list[Body] = []
        for message in prompt.messages:
            role = "assistant" if isinstance(message, AssistantMessage) else "user"
            blocks = _blocks(message)
            if messages and messages[-1]["role"] == role:
                messages[-1]["content"] += blocks
            elif blocks:
                messages.append({"role": role, "content": blocks})
        for asked in [each for each in messages if each["role"] == "user"][-2:]:
            asked["content"][-1] |= _MARK
        body: Body = {
            "model": self._profile.model,
            "max_tokens": self._profile.max_output_tokens,
            "stream": True,
        }
        if prompt.system:
            body["system"] = [{"type": "text", "text": prompt.system, **_MARK}]
        if prompt.tools:
            body["tools"] = [
                {
                    "name": tool.name,
                    "description": tool.description,
                    "input_schema": tool.parameters,
                }
                for tool in prompt.tools
            ]
        if self._profile.thinking_tokens and _may_think(prompt.messages):
            budget = self._profile.thinking_tokens
            body["thinking"] = {"type": "enabled", "budget_tokens": budget}
        # What grows comes last, so that a request begins with the bytes of the one before.
        body["messages"] = messages
        return body


def _blocks(message: Message) -> list[Body]:
    """A message's content. The vendor refuses blank text, so it is left out."""
    match message:
        case UserMessage(text, pictures):
            return [
                *({"type": "image", "source": _source(picture)} for picture in pictures),
                *([{"type": "text", "text": text}] if text.strip() else []),
            ]
        case ToolMessage(call_id=call_id, text=text, failed=failed):
            result: Body = {"type": "tool_result", "tool_use_id": _id(call_id), "content": text}
            return [{**result, "is_error": True} if failed else result]
        case AssistantMessage(text, calls, thinking):
            return [
                *(_thinking(part) for part in thinking if part.provider == NAME),
                *([{"type": "text", "text": text}] if text.strip() else []),
                *(
                    {
                        "type": "tool_use",
                        "id": _id(call.id),
                        "name": call.name,
                        "input": as_object(call.arguments),
                    }
                    for call in calls
                ),
            ]


def _source(picture: Picture) -> Body:
    return {"type": "base64", "media_type": picture.content_type, "data": base64_of(picture)}


def _thinking(part: Thinking) -> Body:
    if part.redacted:
        return {"type": "redacted_thinking", "data": part.signature}
    return {"type": "thinking", "thinking": part.text, "signature": part.signature}


def _id(call_id: str) -> str:
    """A call's id in the letters that this vendor allows; another vendor may have made it."""
    return _NOT_IN_IDS.sub("_", call_id)


def _may_think(messages: tuple[Message, ...]) -> bool:
    """Whether thinking can be asked for: not halfway through a step that began without it, as one
    that another model began did."""
    for message in reversed(messages):
        if isinstance(message, AssistantMessage):
            thought = any(part.provider == NAME for part in message.thinking)
            return thought or not message.tool_calls or isinstance(messages[-1], UserMessage)
    return True


class _OpenBlock:
    """A block of content on its way."""

    def __init__(self, begun: _Block) -> None:
        self.begun = begun
        self.parts: list[str] = [part for part in (begun.text or begun.thinking,) if part]
        self.signature: list[str] = [begun.signature]
        self.closed = False


class MessageReader:
    """Reads one streamed message."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._blocks: dict[int | None, _OpenBlock] = {}
        self._usage: dict[str, int] = {}
        self._began = False
        self._stop: str | None = None

    def read(self, payloads: list[bytes]) -> list[ModelEvent]:
        """The events that these payloads mean."""
        events: list[ModelEvent] = []
        for payload in payloads:
            try:
                event = _decode_event(payload)
            except (ValueError, RecursionError) as error:
                self._pass_over(payload, error)
                continue
            if event.type == "content_block_delta":
                delta, block = event.delta, self._blocks.get(event.index)
                if delta is None or block is None or block.closed:
                    raise broken(self._label, "text for a block that is not open")
                if delta.type == "text_delta" and delta.text is not None:
                    text = clean(delta.text)
                    block.parts.append(text)
                    events.append(TextDelta(text))
                else:
                    self._other_delta(delta, block, events)
            elif event.type == "message_stop":
                events.append(self._reply())
                break
            elif event.type in _KNOWN:
                self._frame(event, payload, events)
        return events

    def end(self) -> list[ModelEvent]:
        """Only `message_stop` ends an answer."""
        raise cut(self._label)

    def _pass_over(self, payload: bytes, error: Exception) -> None:
        """Return if this is an event of a kind that is not known here."""
        try:
            kind = _decode_type(payload).type
        except (ValueError, RecursionError):
            kind = ""
        if not kind or kind in _KNOWN:
            raise broken(self._label, "an event is not what the format demands") from error

    def _other_delta(self, delta: _Delta, block: _OpenBlock, events: list[ModelEvent]) -> None:
        match delta:
            case _Delta(type="input_json_delta", partial_json=str(text)):
                block.parts.append(text)
            case _Delta(type="thinking_delta", thinking=str(text)):
                text = clean(text)
                block.parts.append(text)
                events.append(ThinkingDelta(text))
            case _Delta(type="signature_delta", signature=str(text)):
                block.signature.append(text)
            case _Delta(
                type="text_delta" | "input_json_delta" | "thinking_delta" | "signature_delta" | None
            ):
                raise broken(self._label, "a delta brings nothing")

    def _frame(self, event: _Event, payload: bytes, events: list[ModelEvent]) -> None:
        """Everything around the deltas."""
        match event:
            case _Event(type="message_start", message=_Message(usage)):
                self._began = True
                self._count(usage)
            case _Event(type="content_block_start", index=int(), content_block=_Block() as begun):
                if not self._began or event.index in self._blocks:
                    raise broken(self._label, "a block begins out of turn")
                self._blocks[event.index] = _OpenBlock(begun)
                if begun.type == "text" and begun.text:
                    events.append(TextDelta(begun.text))
            case _Event(type="content_block_stop") if event.index in self._blocks:
                self._blocks[event.index].closed = True
            case _Event(type="message_delta", delta=_Delta(stop_reason=stop), usage=_Usage()):
                self._stop = stop or self._stop
                self._count(event.usage)
            case _Event(type="error"):
                complaint = read_complaint(payload)
                raise refusal(self._label, classify(TABLE, 500, complaint), complaint.message)
            case _:
                raise broken(self._label, f"{event.type} lacks what it must have")

    def _count(self, usage: _Usage | None) -> None:
        """Counts are running totals: what is named replaces what was known."""
        if usage is not None:
            known = msgspec.structs.asdict(usage).items()
            self._usage |= {name: count for name, count in known if count is not None}

    def _reply(self) -> ModelReply:
        if self._stop is None or not all(block.closed for block in self._blocks.values()):
            raise broken(self._label, "it ends in the middle")
        stop = _STOPS.get(self._stop, "end")
        text: list[str] = []
        calls: list[ToolCall] = []
        thinking: list[Thinking] = []
        for block in self._blocks.values():
            match block.begun.type:
                case "text":
                    text += block.parts
                case "tool_use" if stop not in {"length", "refused"}:
                    arguments = "".join(block.parts) or bytes(block.begun.input).decode()
                    begun = block.begun
                    calls.append(tool_call(self._label, begun.id, begun.name, arguments))
                case "thinking":
                    signature = "".join(block.signature)
                    thinking.append(Thinking(NAME, "".join(block.parts), signature))
                case "redacted_thinking":
                    thinking.append(Thinking(NAME, "", block.begun.data, redacted=True))
        if stop == "tool_calls" and not calls:
            raise broken(self._label, "it calls for tools and names none")
        return ModelReply(
            "".join(text),
            distinct(self._label, calls),
            tuple(thinking),
            self._total(),
            "tool_calls" if calls else stop,
        )

    def _total(self) -> Usage:
        """The vendor counts what it read from its cache, and what it put there, apart."""
        count = self._usage.get
        cached = count("cache_read_input_tokens", 0)
        read = count("input_tokens", 0) + count("cache_creation_input_tokens", 0) + cached
        return Usage(read, count("output_tokens", 0), cached)
