"""What is said to a language model and what it says back, in no vendor's dialect."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Literal, Protocol
from uuid import UUID

import msgspec


class ToolCall(msgspec.Struct, frozen=True):
    """The model asks for a tool. `arguments` is the JSON text of an object."""

    id: str
    name: str
    arguments: str


class Thinking(msgspec.Struct, frozen=True):
    """Reasoning that a provider wants back verbatim. `signature` is opaque; `provider` wrote it."""

    provider: str
    text: str
    signature: str = ""
    #: Reasoning that the provider encrypted: `text` is empty and `signature` holds the ciphertext.
    redacted: bool = False


class Picture(msgspec.Struct, frozen=True):
    """A picture to look at. Its bytes join it when its prompt is sent."""

    id: UUID
    content_type: str
    #: About how many of the model's tokens it takes.
    tokens: int
    data: bytes = b""


class UserMessage(msgspec.Struct, frozen=True):
    text: str
    pictures: tuple[Picture, ...] = ()


class AssistantMessage(msgspec.Struct, frozen=True):
    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    thinking: tuple[Thinking, ...] = ()


class ToolMessage(msgspec.Struct, frozen=True):
    """The result of one tool call, or the reason why there is none."""

    call_id: str
    name: str
    text: str
    failed: bool = False


Message = UserMessage | AssistantMessage | ToolMessage


class ToolSpec(msgspec.Struct, frozen=True):
    """A tool as a model sees it. `parameters` is a JSON schema of type object."""

    name: str
    description: str
    parameters: dict[str, object]


class Prompt(msgspec.Struct, frozen=True):
    """One request to a model. Every tool message answers a call of the assistant's before it."""

    system: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()


#: More tokens than any call has; a provider that counts more is not believed.
MOST_TOKENS = 1_000_000_000


class Usage(msgspec.Struct, frozen=True):
    """Tokens as the provider counted them. `cached_tokens` are part of `prompt_tokens`."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0

    @property
    def is_credible(self) -> bool:
        """Whether a provider can have counted this. Nothing at all is no count."""
        counts = (self.prompt_tokens, self.completion_tokens, self.cached_tokens)
        return any(counts) and all(0 <= count <= MOST_TOKENS for count in counts)

    def bounded(self) -> Usage:
        """With every count between 0 and `MOST_TOKENS`: the numbers come from outside."""
        return Usage(
            *(
                min(max(count, 0), MOST_TOKENS)
                for count in (self.prompt_tokens, self.completion_tokens, self.cached_tokens)
            )
        )

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
        )


class TextDelta(msgspec.Struct, frozen=True):
    text: str


class ThinkingDelta(msgspec.Struct, frozen=True):
    text: str


class StillWorking(msgspec.Struct, frozen=True):
    """A sign of life that says nothing: a ping, or a piece of a tool call's arguments."""


StopReason = Literal["end", "tool_calls", "length", "refused"]


class ModelReply(msgspec.Struct, frozen=True):
    """A model's whole answer; the last event of every stream that did not fail."""

    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    thinking: tuple[Thinking, ...] = ()
    usage: Usage = Usage()
    stop: StopReason = "end"


ModelEvent = TextDelta | ThinkingDelta | StillWorking | ModelReply


class Provider(Protocol):
    """Speaks one vendor's wire format."""

    def stream(self, prompt: Prompt) -> AsyncGenerator[ModelEvent]:
        """Yield deltas and other signs of life as they arrive, then exactly one `ModelReply`.

        Let it run to its end: what follows the reply is the handing back of the connection.

        Raises `ModelFailure` and nothing else. A stream that ends without its end marker, that
        stalls or that breaks its protocol is a failure, never a short answer.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
