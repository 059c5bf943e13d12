"""A fake model server for each test, and providers that speak to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from opencraw.model import ModelEvent, ModelReply, Prompt, Provider, UserMessage
from opencraw.providers import open_provider
from opencraw.providers.demo import DemoProvider
from opencraw.providers.settings import Profile
from tests.fakes.model_server import ModelServer

Connect = Callable[..., Provider]


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with ModelServer() as server:
        yield server


@pytest.fixture
async def connect(server: ModelServer) -> AsyncIterator[Connect]:
    """Open a provider by name; other arguments are fields of its profile."""
    opened: list[Provider] = []

    def connect(name: str, *, key: str | None = "sk-test", **fields: Any) -> Provider:
        if name == "demo":
            return DemoProvider(pace=0)
        path = "" if name == "anthropic" else "/v1"
        fields = {"model": "model", "base_url": server.url + path, **fields}
        provider = open_provider(Profile(provider=name, **fields), key)  # type: ignore[arg-type]
        opened.append(provider)
        return provider

    yield connect
    for provider in opened:
        await provider.close()


def says(*texts: str) -> Prompt:
    """A prompt of user texts."""
    return Prompt("You are a test.", tuple(UserMessage(text) for text in texts))


async def events(provider: Provider, prompt: Prompt) -> list[ModelEvent]:
    """All that a provider answers."""
    async with aclosing(provider.stream(prompt)) as stream:
        return [event async for event in stream]


async def reply(provider: Provider, prompt: Prompt) -> ModelReply:
    """The last that a provider answers."""
    last = (await events(provider, prompt))[-1]
    assert isinstance(last, ModelReply)
    return last
