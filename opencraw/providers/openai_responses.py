"""OpenAI's responses.

Nothing is stored with the vendor, so reasoning travels with us: each reasoning item comes encrypted
and goes back as it came. Text is taken from its deltas, tool calls and reasoning only from items
that are done. Of the many events of this format only those that an answer is made of are read;
the others tell the same again, or belong to tools that are never asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from opencraw.errors import ModelFailure
from opencraw.model import (
    AssistantMessage,
    Message,
    ModelEvent,
    ModelReply,
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
from opencraw.providers.dialect import (
    Body,
    as_object,
    cache_key,
    clean,
    data_url,
    distinct,
    tool_call,
)
from opencraw.providers.failures import (
    Complaint,
    broken,
    classify,
    cut,
    read_complaint,
    refusal,
)
from opencraw.providers.openai_chat import TABLE
from opencraw.providers.settings import VENDOR_URLS, Profile

NAME = "openai-responses"

#: Models that do not reason refuse to be asked for their reasoning.
_WITHOUT_REASONING = re.compile(r"(?:gpt-3|gpt-4|chatgpt-|gpt-5(?:\.\d+)?-chat)")


_T = TypeVar("_T")


class _Event(msgspec.Struct, gc=False):
    type: str
    delta: str | None = None
    item: msgspec.Raw = msgspec.Raw()
    response: msgspec.Raw = msgspec.Raw()


class _Type(msgspec.Struct, gc=False):
    type: str


class _Summary(msgspec.Struct, gc=False):
    text: str = ""


class _Item(msgspec.Struct, gc=False):
    type: str
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    summary: list[_Summary] = []


class _InputDetails(msgspec.Struct, gc=False):
    cached_tokens: int = 0


class _Usage(msgspec.Struct, gc=False):
    input_tokens: int
    output_tokens: int
    input_tokens_details: _InputDetails | None = None


class _Incomplete(msgspec.Struct, gc=False):
    reason: str | None = None


class _Response(msgspec.Struct, gc=False):
    usage: _Usage | None = None
    incomplete_details: _Incomplete | None = None


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_type = msgspec.json.Decoder(_Type).decode

_KNOWN = frozenset(
    {
        "response.output_text.delta",
        "response.refusal.delta",
        "response.reasoning_summary_text.delta",
        "response.reasoning_text.delta",
        "response.output_item.done",
        "response.completed",
        "response.incomplete",
        "response.failed",
        "error",
    }
)


class OpenAiResponses:
    """The dialect of `/responses`."""

    table = TABLE

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self.url = (profile.base_url or VENDOR_URLS[NAME]) + "/responses"

    def headers(self, key: str | None) -> Mapping[str, str]:
        """A bearer token, unless the server wants none."""
        return {"Authorization": f"Bearer {key}"} if key else {}

    def reader(self) -> ResponseReader:
        """A reader for one answer."""
        return ResponseReader(self._profile.label)

    def translate(self, prompt: Prompt) -> Body:
        """The request body."""
        body: Body = {
            "model": self._profile.model,
            "max_output_tokens": self._profile.max_output_tokens,
            "store": False,
            "stream": True,
        }
        if not _WITHOUT_REASONING.match(self._profile.model):
            body["include"] = ["reasoning.encrypted_content"]
        if prompt.system:
            body["instructions"] = prompt.system
        if prompt.tools:
            body["tools"] = [
                {
                    "type": "function",
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.parameters,
                    # Unasked, this format refuses schemas with optional parameters.
                    "strict": False,
                }
                for tool in prompt.tools
            ]
        if self._profile.own_host:
            body["prompt_cache_key"] = cache_key(prompt)
        # What grows comes last, so that a request begins with the bytes of the one before.
        body["input"] = [item for message in prompt.messages for item in _items(message)]
        return body


def _items(message: Message) -> list[Body]:
    match message:
        case UserMessage(text, pictures=()):
            return [{"type": "message", "role": "user", "content": text}]
        case UserMessage(text, pictures):
            shown = [
                {"type": "input_image", "image_url": data_url(each), "detail": "auto"}
                for each in pictures
            ]
            content = [*shown, {"type": "input_text", "text": text}]
            return [{"type": "message", "role": "user", "content": content}]
        case ToolMessage(call_id=call_id, text=text):
            return [{"type": "function_call_output", "call_id": call_id, "output": text}]
        case AssistantMessage(text, calls, thinking):
            said: list[Body] = []
            if text:
                said.append({"type": "message", "role": "assistant", "content": text})
            said += [
                {
                    "type": "function_call",
                    "call_id": call.id,
                    "name": call.name,
                    "arguments": call.arguments,
                }
                for call in calls
            ]
            # Reasoning that led to nothing, as in a turn that was stopped, is refused.
            return [*_reasoning(thinking), *said] if said else []


def _reasoning(thinking: tuple[Thinking, ...]) -> list[Body]:
    """The signature of a thought of ours is the whole item that it came in."""
    return [as_object(part.signature) for part in thinking if part.provider == NAME]


class ResponseReader:
    """Reads one streamed response."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._text: list[str] = []
        self._calls: list[ToolCall] = []
        self._thinking: list[Thinking] = []
        self._refused = False

    def read(self, payloads: list[bytes]) -> list[ModelEvent]:
        """The events that these payloads mean."""
        events: list[ModelEvent] = []
        for payload in payloads:
            try:
                event = _decode_event(payload)
            except (ValueError, RecursionError) as error:
                self._pass_over(payload, error)
                continue
            if event.type == "response.output_text.delta" and event.delta is not None:
                text = clean(event.delta)
                self._text.append(text)
                events.append(TextDelta(text))
            elif event.type in _KNOWN:
                self._other(event, payload, events)
                if events and isinstance(events[-1], ModelReply):
                    break
        return events

    def end(self) -> list[ModelEvent]:
        """Only a response that says so is complete."""
        raise cut(self._label)

    def _pass_over(self, payload: bytes, error: Exception) -> None:
        """Return if this is an event of a kind that is not read here."""
        if payload == b"[DONE]":  # some servers close this format like the older one
            raise cut(self._label) from error
        try:
            kind = _decode_type(payload).type
        except (ValueError, RecursionError):
            kind = ""
        if not kind or kind in _KNOWN:
            raise broken(self._label, "an event is not what the format demands") from error

    def _other(self, event: _Event, payload: bytes, events: list[ModelEvent]) -> None:
        match event:
            case _Event("response.refusal.delta", str(text)):
                self._refused = True
                self._text.append(clean(text))
                events.append(TextDelta(clean(text)))
            case _Event(
                "response.reasoning_summary_text.delta" | "response.reasoning_text.delta",
                str(text),
            ):
                events.append(ThinkingDelta(clean(text)))
            case _Event("response.output_item.done", item=item):
                self._item(bytes(item))
            case _Event(
                "response.completed" | "response.incomplete" | "response.failed", response=told
            ):
                events.append(self._ended(event.type, bytes(told)))
            case _Event("error"):
                raise self._failure(read_complaint(payload))
            case _:
                raise broken(self._label, f"{event.type} lacks what it must have")

    def _item(self, raw: bytes) -> None:
        """Keep what must be kept of a finished item."""
        item = self._decoded(raw, _Item)
        if item.type == "function_call":
            # Judged at the end: an answer that was cut may hold a call that was, too.
            self._calls.append(ToolCall(item.call_id or "", item.name or "", item.arguments or ""))
        elif item.type == "reasoning":
            summary = clean("\n\n".join(part.text for part in item.summary))
            self._thinking.append(Thinking(NAME, summary, raw.decode()))

    def _ended(self, kind: str, raw: bytes) -> ModelReply:
        if kind == "response.failed":
            raise self._failure(read_complaint(raw))
        response = self._decoded(raw, _Response)
        stop = self._stop(kind, response)
        calls: tuple[ToolCall, ...] = ()
        if stop == "tool_calls":
            calls = distinct(
                self._label,
                [
                    tool_call(self._label, call.id, call.name, call.arguments)
                    for call in self._calls
                ],
            )
        usage = Usage()
        if response.usage is not None:
            details = response.usage.input_tokens_details
            cached = details.cached_tokens if details else 0
            usage = Usage(response.usage.input_tokens, response.usage.output_tokens, cached)
        return ModelReply("".join(self._text), calls, tuple(self._thinking), usage, stop)

    def _stop(self, kind: str, response: _Response) -> StopReason:
        if kind == "response.incomplete":
            reason = response.incomplete_details and response.incomplete_details.reason
            return "refused" if reason == "content_filter" else "length"
        if self._refused:
            return "refused"
        return "tool_calls" if self._calls else "end"

    def _failure(self, complaint: Complaint) -> ModelFailure:
        return refusal(self._label, classify(TABLE, 500, complaint), complaint.message)

    def _decoded(self, raw: bytes, kind: type[_T]) -> _T:
        try:
            return msgspec.json.decode(raw, type=kind)
        except (ValueError, RecursionError) as error:
            raise broken(self._label, "an item is not what the format demands") from error
