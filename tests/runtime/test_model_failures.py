from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from opencraw.errors import FailureKind, ModelFailure
from opencraw.model import (
    ModelEvent,
    Prompt,
    TextDelta,
    ThinkingDelta,
)
from tests.fixtures.script import Script, calls
from tests.runtime.playing import World, play, shape

OVERLOADED = ModelFailure(FailureKind.OVERLOADED, "try later")


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses the loop wanted to make; time is injected, nobody waits."""
    made: list[float] = []

    async def sleep(seconds: float) -> None:
        made.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return made


async def test_a_failure_that_passes_is_tried_again(world: World, pauses: list[float]) -> None:
    script = Script(OVERLOADED, OVERLOADED, "Here I am.")
    assert shape(await play(world, script)) == [
        "step begins", "step begins", "step begins",
        "text Here", "text I", "text am.", "step ends Here I am.",
    ]  # fmt: skip
    assert 0.75 <= pauses[0] <= 1.25
    assert 1.5 <= pauses[1] <= 2.5


async def test_a_failure_that_does_not_pass_is_not_tried_again(
    world: World, pauses: list[float]
) -> None:
    script = Script(ModelFailure(FailureKind.AUTH, "no such key"))
    with pytest.raises(ModelFailure, match="no such key"):
        await play(world, script)
    assert len(script.prompts) == 1
    assert pauses == []


async def test_a_model_that_stays_away_is_given_up(world: World, pauses: list[float]) -> None:
    script = Script(*[OVERLOADED] * 9)
    with pytest.raises(ModelFailure, match="try later"):
        await play(world, script)
    assert len(script.prompts) == len(pauses) + 1 == 3


async def test_each_step_has_its_own_tries(world: World, pauses: list[float]) -> None:
    script = Script(OVERLOADED, OVERLOADED, calls("read"), OVERLOADED, OVERLOADED, "Here I am.")
    assert shape(await play(world, script))[-1] == "step ends Here I am."


async def test_the_text_of_a_failed_try_is_void(world: World, pauses: list[float]) -> None:
    async def breaks_off(_: Prompt) -> AsyncGenerator[ModelEvent]:
        yield ThinkingDelta("hm")
        yield TextDelta("Half an ")
        raise ModelFailure(FailureKind.UNREACHABLE, "reset")

    script = Script(breaks_off, "A whole answer.")
    words = shape(await play(world, script))
    assert words[:3] == ["step begins", "text Half an", "step begins"]
    assert script.prompts[0] == script.prompts[1], "the half answer is not shown to the model"


async def test_calls_of_a_stream_that_breaks_are_never_run(
    world: World, pauses: list[float]
) -> None:
    async def breaks_off(_: Prompt) -> AsyncGenerator[ModelEvent]:
        yield TextDelta("I will write. ")
        raise ModelFailure(FailureKind.UNREACHABLE, "reset in the middle of the arguments")

    await play(world, Script(breaks_off, "Never mind."))
    assert world.effects == []
