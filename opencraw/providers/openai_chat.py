"""OpenAI's chat completions, and the many servers that speak them too.

An answer is complete when a chunk has named its finish reason; `[DONE]` is the full stop. What
other servers leave out or add is forgiven only where nothing can be lost by it:

* no usage, empty `choices`, a chunk with only a role, a final chunk without a full stop as long as
  the HTTP answer itself ends properly;
* a tool call without `index` (it begins when it brings an id), or several under one index (each
  new id is a new call), or `stop` as the finish reason of tool calls;
* reasoning as text (`reasoning_content` or `reasoning`) is shown and never sent back.

Everything else that the format demands must be there. An answer that was cut at its length, or
withheld, asks for no tools: the last call might look complete and not be.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from opencraw.errors import FailureKind
from opencraw.model import (
    AssistantMessage,
    Message,
    ModelEvent,
    ModelReply,
    Prompt,
    StopReason,
    TextDelta,
    ThinkingDelta,
    ToolMessage,
    Usage,
    UserMessage,
)
from opencraw.providers.dialect import (
    Body,
    bounded,
    cache_key,
    clean,
    data_url,
    distinct,
    tool_call,
)
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

#: Shared by both of OpenAI's formats and the servers that imitate them.
TABLE: Table = (
    (
        FailureKind.BILLING,
        Signs(
            frozenset(
                {
                    "insufficient_quota",
                    "billing_hard_limit_reached",
                    "billing_not_active",
                    "credit_balance_exhausted",
                }
            ),
            ("exceeded your current quota", "insufficient credits", "insufficient balance"),
        ),
    ),
    (
        FailureKind.AUTH,
        Signs(
            frozenset(
                {
                    "invalid_api_key",
                    "invalid_organization",
                    "authentication_error",
                    "permission_error",
                    "account_deactivated",
                    "unsupported_country_region_territory",
                }
            ),
            ("incorrect api key",),
        ),
    ),
    (
        FailureKind.RATE_LIMITED,
        Signs(
            frozenset(
                {"rate_limit_exceeded", "rate_limit_error", "requests", "tokens", "slow_down"}
            )
        ),
    ),
    (
        FailureKind.OVERLOADED,
        Signs(
            frozenset(
                {
                    "service_unavailable",
                    "service_unavailable_error",
                    "server_is_overloaded",
                    "overloaded_error",
                }
            )
        ),
    ),
    (FailureKind.TIMEOUT, Signs(frozenset({"timeout", "request_timeout"}))),
    (
        FailureKind.CONTEXT_OVERFLOW,
        Signs(
            frozenset({"context_length_exceeded", "exceed_context_size_error"}),
            (
                "maximum context length",
                "context length exceeded",
                "exceeds the context window",
                "exceeds the available context size",
                "prompt is too long",
            ),
        ),
    ),
    (FailureKind.FORMAT, Signs(frozenset({"invalid_request_error", "invalid_prompt"}))),
)

_STOPS: Mapping[str, StopReason] = {
    "stop": "end",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "refused",
}


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class _CallDelta(msgspec.Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct, gc=False):
    content: str | None = None
    tool_calls: list[_CallDelta] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta
    finish_reason: str | None = None


class _PromptDetails(msgspec.Struct, gc=False):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _PromptDetails | None = None


class _Chunk(msgspec.Struct, gc=False):
    #: Absent only from an error.
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: object = None


class _Call:
    """A tool call on its way."""

    def __init__(self, index: int | None, call_id: str | None) -> None:
        self.index = index
        self.id = call_id
        self.name: str | None = None
        self.arguments: list[str] = []


_decode_chunk = msgspec.json.Decoder(_Chunk).decode


class OpenAiChat:
    """The dialect of `/chat/completions`."""

    table = TABLE

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self.url = (profile.base_url or VENDOR_URLS["openai"]) + "/chat/completions"

    def headers(self, key: str | None) -> Mapping[str, str]:
        """A bearer token, unless the server wants none."""
        return {"Authorization": f"Bearer {key}"} if key else {}

    def reader(self) -> ChatReader:
        """A reader for one answer."""
        return ChatReader(self._profile.label)

    def translate(self, prompt: Prompt) -> Body:
        """The request body. The vendor's newer models refuse `max_tokens`, other servers often
        know nothing else."""
        limit = "max_completion_tokens" if self._profile.own_host else "max_tokens"
        body: Body = {
            "model": self._profile.model,
            "stream": True,
            "stream_options": {"include_usage": True},
            limit: self._profile.max_output_tokens,
        }
        if prompt.tools:
            body["tools"] = [
                {
                    "type": "function",
                    "function": {
                        "name": tool.name,
                        "description": tool.description,
                        "parameters": tool.parameters,
                    },
                }
                for tool in prompt.tools
            ]
        if self._profile.own_host:
            body["prompt_cache_key"] = cache_key(prompt)
        # What grows comes last, so that a request begins with the bytes of the one before.
        body["messages"] = [
            *([{"role": "system", "content": prompt.system}] if prompt.system else []),
            *map(_translate_message, prompt.messages),
        ]
        return body


def _translate_message(message: Message) -> Body:
    match message:
        case UserMessage(text, pictures=()):
            return {"role": "user", "content": text}
        case UserMessage(text, pictures):
            shown = [
                {"type": "image_url", "image_url": {"url": data_url(each)}} for each in pictures
            ]
            return {"role": "user", "content": [*shown, {"type": "text", "text": text}]}
        case ToolMessage(call_id=call_id, text=text):
            return {"role": "tool", "tool_call_id": call_id, "content": text}
        case AssistantMessage(text, tool_calls=()):
            return {"role": "assistant", "content": text}
        case AssistantMessage(text, calls):
            return {
                "role": "assistant",
                "content": text or None,
                "tool_calls": [
                    {
                        "id": call.id,
                        "type": "function",
                        "function": {"name": call.name, "arguments": call.arguments},
                    }
                    for call in calls
                ],
            }


class ChatReader:
    """Reads one streamed chat completion."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._text: list[str] = []
        self._calls: list[_Call] = []
        self._usage = Usage()
        self._finish: str | None = None
        self._refused = False

    def read(self, payloads: list[bytes]) -> list[ModelEvent]:
        """The events that these chunks mean."""
        events: list[ModelEvent] = []
        for payload in payloads:
            if payload == b"[DONE]":
                events.append(self._reply())
                break
            try:
                chunk = _decode_chunk(payload)
            except (ValueError, RecursionError) as error:
                raise broken(self._label, "a chunk is not what the format demands") from error
            if chunk.choices:
                choice = chunk.choices[0]
                delta = choice.delta
                if delta.content:
                    text = clean(delta.content)
                    self._text.append(text)
                    events.append(TextDelta(text))
                if delta.tool_calls or delta.refusal or delta.reasoning_content or delta.reasoning:
                    self._rare(delta, events)
                if choice.finish_reason:
                    self._finish = choice.finish_reason
            if chunk.usage is not None or chunk.error is not None or chunk.choices is None:
                self._whole_answer(chunk, payload)
        return events

    def end(self) -> list[ModelEvent]:
        """Without `[DONE]` the finish reason must have come."""
        if self._finish is None:
            raise cut(self._label)
        return [self._reply()]

    def _rare(self, delta: _Delta, events: list[ModelEvent]) -> None:
        """What most chunks do not have."""
        thought = delta.reasoning_content or delta.reasoning
        if thought:
            events.append(ThinkingDelta(clean(thought)))
        if delta.refusal:
            self._refused = True
            text = clean(delta.refusal)
            self._text.append(text)
            events.append(TextDelta(text))
        if delta.tool_calls:
            self._add_calls(delta.tool_calls)

    def _add_calls(self, deltas: list[_CallDelta]) -> None:
        for delta in deltas:
            call = self._call_of(delta)
            if delta.function is None:
                continue
            name = delta.function.name
            if name and call.name not in {None, name}:
                raise broken(self._label, "a tool call changes its name")
            call.name = name or call.name
            if delta.function.arguments:
                call.arguments.append(delta.function.arguments)

    def _call_of(self, delta: _CallDelta) -> _Call:
        """The call that a delta belongs to, newly begun if need be."""
        for call in reversed(self._calls):
            if delta.index in {None, call.index} and (not delta.id or delta.id == call.id):
                return call
            if delta.id and delta.index == call.index and call.id is None:
                call.id = delta.id
                return call
        call = _Call(delta.index, delta.id or None)
        self._calls.append(call)
        bounded(self._label, self._calls)
        return call

    def _whole_answer(self, chunk: _Chunk, payload: bytes) -> None:
        """Take in what is said about the answer as a whole."""
        if chunk.error is not None or chunk.choices is None:
            complaint = read_complaint(payload)
            if complaint.codes or complaint.message:
                raise refusal(self._label, classify(TABLE, 500, complaint), complaint.message)
            raise broken(self._label, "a chunk has no choices")
        if chunk.usage is not None:
            details = chunk.usage.prompt_tokens_details
            cached = (details and details.cached_tokens) or 0
            self._usage = Usage(chunk.usage.prompt_tokens, chunk.usage.completion_tokens, cached)

    def _reply(self) -> ModelReply:
        if self._finish is None:
            raise broken(self._label, "it ends without a finish reason")
        if self._finish == "error":  # a gateway's way to say that the model behind it broke
            raise refusal(self._label, FailureKind.OVERLOADED, "the model stopped with an error")
        stop = "refused" if self._refused else _STOPS.get(self._finish, "end")
        text = "".join(self._text)
        if stop in {"length", "refused"}:
            return ModelReply(text, usage=self._usage, stop=stop)
        if not self._calls:
            if stop == "tool_calls":
                raise broken(self._label, "it calls for tools and names none")
            return ModelReply(text, usage=self._usage, stop=stop)
        calls = [
            tool_call(self._label, call.id, call.name, "".join(call.arguments))
            for call in self._calls
        ]
        return ModelReply(text, distinct(self._label, calls), usage=self._usage, stop="tool_calls")
