from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opencraw.limits.tariff import Tariff, amount, tokens_of
from opencraw.model import (
    AssistantMessage,
    Prompt,
    Thinking,
    ToolCall,
    ToolMessage,
    ToolSpec,
    Usage,
    UserMessage,
)
from opencraw.providers.settings import Profile

LONG = "word " * 1_000
HELLO = UserMessage("hello")


def profile(**prices: float) -> Profile:
    return Profile(provider="openai", model="fake", max_output_tokens=100, **prices)  # type: ignore[arg-type]


def test_the_most_is_the_whole_prompt_and_the_longest_answer() -> None:
    tariff = Tariff(prompt=3, completion=15, cached=0.3, max_output_tokens=1_000)
    prompt = Prompt("system", (HELLO,))
    assert tariff.most(prompt) == tokens_of(prompt) * 3 + 15_000


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt(LONG, (HELLO,)),
        Prompt("", (UserMessage(LONG),)),
        Prompt("", (AssistantMessage(LONG),)),
        Prompt("", (AssistantMessage("", (ToolCall("1", "work", LONG),)),)),
        Prompt("", (AssistantMessage("", (), (Thinking("openai", LONG),)),)),
        Prompt("", (AssistantMessage("", (), (Thinking("openai", "", LONG, redacted=True),)),)),
        Prompt("", (ToolMessage("1", "work", LONG),)),
        Prompt("", (HELLO,), (ToolSpec("work", LONG, {}),)),
        Prompt("", (HELLO,), (ToolSpec("work", "", {"description": LONG}),)),
    ],
    ids=range(9),
)
def test_everything_that_is_sent_counts(prompt: Prompt) -> None:
    assert tokens_of(prompt) >= 1_000


def test_the_cost_is_that_of_the_tokens_that_were_used() -> None:
    tariff = Tariff(prompt=3, completion=15, cached=0.3, max_output_tokens=1_000)
    assert tariff.cost(Usage(100, 10)) == 450
    assert tariff.cost(Usage(100, 10, cached_tokens=90)) == 30 + 27 + 150
    assert tariff.cost(Usage()) == 0


@given(
    usage=st.builds(Usage, *[st.integers(-(2**70), 2**70)] * 3),
    prices=st.tuples(*[st.floats(0, 1e6)] * 3),
)
def test_whatever_a_provider_reports_the_cost_can_be_kept(
    usage: Usage, prices: tuple[float, float, float]
) -> None:
    assert 0 <= Tariff(*prices, 1_000).cost(usage) < 2**62


def test_prices_are_those_of_the_profile() -> None:
    tariff = Tariff.of(
        profile(price_per_million_prompt_tokens=3, price_per_million_completion_tokens=15)
    )
    assert tariff == Tariff(prompt=3, completion=15, cached=3, max_output_tokens=100)
    cheaper = profile(
        price_per_million_prompt_tokens=3,
        price_per_million_completion_tokens=15,
        price_per_million_cached_prompt_tokens=0,
    )
    assert Tariff.of(cheaper).cached == 0
    assert Tariff.of(profile()).is_free
    assert not Tariff.of(cheaper).is_free


@pytest.mark.parametrize(
    ("cost", "text"),
    [(0, "0"), (1, "0"), (123, "0.0001"), (1_230_500, "1.2305"), (5_000_000_000, "5,000")],
)
def test_an_amount_as_people_write_it(cost: int, text: str) -> None:
    assert amount(cost) == text
