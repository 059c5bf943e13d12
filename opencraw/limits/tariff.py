"""What a model call costs, from values alone.

Prices are for a million tokens, and amounts are millionths of the prices' unit: so many tokens
times the price is an amount.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import msgspec

from opencraw.context.blocks import weight
from opencraw.context.tokens import rough
from opencraw.model import AssistantMessage, Message, Prompt, Usage, UserMessage
from opencraw.providers.settings import Profile

#: Parts of the prices' unit that amounts are counted in.
MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Tariff:
    """What the tokens of one model cost, and how many an answer may have."""

    prompt: float
    completion: float
    cached: float
    max_output_tokens: int

    @classmethod
    def of(cls, profile: Profile) -> Self:
        """What the profile says. A price that it does not name is nothing."""
        prompt = profile.price_per_million_prompt_tokens or 0.0
        cached = profile.price_per_million_cached_prompt_tokens
        return cls(
            prompt=prompt,
            completion=profile.price_per_million_completion_tokens or 0.0,
            cached=prompt if cached is None else cached,
            max_output_tokens=profile.max_output_tokens,
        )

    @property
    def is_free(self) -> bool:
        """Whether this model costs nothing."""
        return not (self.prompt or self.completion or self.cached)

    def most(self, prompt: Prompt) -> int:
        """The most that asking this may cost, as far as tokens can be estimated."""
        dearer = max(self.prompt, self.cached)
        return math.ceil(tokens_of(prompt) * dearer + self.max_output_tokens * self.completion)

    def cost(self, usage: Usage) -> int:
        """What a call cost of which its provider reported `usage`."""
        usage = usage.bounded()
        cached = min(usage.cached_tokens, usage.prompt_tokens)
        return math.ceil(
            (usage.prompt_tokens - cached) * self.prompt
            + cached * self.cached
            + usage.completion_tokens * self.completion
        )


def tokens_of(prompt: Prompt) -> int:
    """About how many tokens a request has, with everything that is sent along."""
    tools = sum(_weight(msgspec.json.encode(spec).decode()) for spec in prompt.tools)
    return _weight(prompt.system) + tools + sum(map(_tokens_of, prompt.messages))


def _tokens_of(message: Message) -> int:
    tokens = _weight(message.text)
    if isinstance(message, AssistantMessage):
        tokens += sum(_weight(call.name + call.arguments) for call in message.tool_calls)
        tokens += sum(_weight(each.text + each.signature) for each in message.thinking)
    elif isinstance(message, UserMessage):
        tokens += sum(picture.tokens for picture in message.pictures)
    return tokens


def _weight(text: str) -> int:
    return weight(text, rough)


def amount(cost: int) -> str:
    """An amount as people write it, in the prices' unit."""
    text = f"{cost / MILLION:,.4f}"
    return text.rstrip("0").rstrip(".")
