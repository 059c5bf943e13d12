"""What conversations cost their operator: what of a prompt the vendor has seen before."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from opencraw.context.settings import ContextSettings
from opencraw.model import Provider
from opencraw.providers import open_provider
from opencraw.providers.settings import Profile
from tests.fakes.model_cache import rendered
from tests.fakes.model_server import ModelServer
from tests.fixtures.core import running

#: How it speaks, and where.
Vendor = tuple[str, ModelServer, Provider]

WIRES = {"openai": "chat", "openai-responses": "responses", "anthropic": "messages"}
#: As long as what people write, by turns.
SAID = (
    "What was the name of the restaurant on the corner where we had lunch with Anna last spring?",
    "Please remind me to call the dentist.",
    ("I have been thinking about the trip in October. We could take the night train to Vienna and "
     "stay for two days, and go on to Trieste by the sea; or we fly, and have a day more there. "
     "What speaks for either, and what should I ask before we decide? [[tool current_time "
     '{"timezone": "Europe/Vienna"}]] [[tool calculate {"expression": "2 * 149.50 + 3 * 80"}]]'),
    "Thanks!",
)  # fmt: skip


@pytest.fixture(params=WIRES)
async def vendor(request: pytest.FixtureRequest) -> AsyncIterator[Vendor]:
    async with ModelServer() as server:
        path = "" if request.param == "anthropic" else "/v1"
        profile = Profile(provider=request.param, model="model", base_url=server.url + path)
        provider = open_provider(profile, "sk-test")
        yield WIRES[request.param], server, provider
        await provider.close()


@dataclass
class Story:
    """What one session sent, turn by turn."""

    #: The first prompt of each turn, as a cache reads it.
    shown: list[bytes] = field(default_factory=list)
    #: Tokens that the vendor read for each turn, and those of them that came from its cache.
    costs: list[tuple[int, int]] = field(default_factory=list)

    @property
    def known(self) -> list[tuple[int, int]]:
        """Of each turn but the first: how much of its prompt is the last one's beginning, and how
        long it is."""
        return [(_same(*pair), len(pair[1])) for pair in pairwise(self.shown)]


async def story(vendor: Vendor, database_url: str, *, turns: int, tokens: int) -> Story:
    """People talk for so many turns, and prompts have so many tokens at most."""
    wire, server, provider = vendor
    told = Story()
    context = ContextSettings(max_prompt_tokens=tokens)
    async with running(database_url, provider=provider, context=context) as core:
        for turn in range(turns):
            server.requests.clear()
            await core.asked(f"{turn}. {SAID[turn % len(SAID)]}")
            told.shown.append(rendered(wire, server.requests[0]))
            [row] = await core.fetch(
                "SELECT prompt_tokens, cached_tokens FROM turn ORDER BY started_at DESC LIMIT 1"
            )
            told.costs.append((row["prompt_tokens"], row["cached_tokens"]))
    return told


async def test_a_long_session_is_mostly_read_from_the_vendors_cache(
    vendor: Vendor, database_url: str
) -> None:
    told = await story(vendor, database_url, turns=50, tokens=32_000)

    for (same, length), before in zip(told.known, told.shown[:-1], strict=True):
        assert same >= 0.99 * len(before), "nothing that was shown ever changes"
        assert same >= 0.65 * length
    for same, length in told.known[10:]:
        assert same >= 0.8 * length
    assert _share(told.known) >= 0.9

    read_and_cached = [(cached, read) for read, cached in told.costs]
    assert _share(read_and_cached) >= 0.8
    for cached, read in read_and_cached[25:]:
        assert cached >= 0.8 * read


async def test_a_window_that_is_full_moves_seldom(vendor: Vendor, database_url: str) -> None:
    told = await story(vendor, database_url, turns=100, tokens=3_000)

    assert _share(told.known) >= 0.8
    moved = [place for place, (same, length) in enumerate(told.known) if same < 0.5 * length]
    assert moved, "the window was full"
    assert min(later - before for before, later in pairwise(moved)) >= 8


def _same(before: bytes, after: bytes) -> int:
    """With how many equal bytes both begin."""
    for place, (one, other) in enumerate(zip(before, after, strict=False)):
        if one != other:
            return place
    return min(len(before), len(after))


def _share(parts: Sequence[tuple[int, int]]) -> float:
    return sum(part for part, _ in parts) / sum(whole for _, whole in parts)
