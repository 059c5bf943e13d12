from __future__ import annotations

from opencraw.context.blocks import OpenCall
from opencraw.model import (
    AssistantMessage,
    Message,
)
from tests.fixtures.script import Script, calls
from tests.runtime.playing import HELLO, World, play, results, shape


def broken_off(*names: str, started: str = "") -> tuple[list[Message], list[OpenCall]]:
    """A history that ends in open calls; the one named `started` was under way."""
    asked = calls(*[(name, '{"what": "a"}' if name == "write" else "{}") for name in names])
    history: list[Message] = [*HELLO, AssistantMessage("", asked.tool_calls)]
    return history, [OpenCall(call, call.name == started) for call in asked.tool_calls]


async def test_a_read_that_was_under_way_runs_again(world: World) -> None:
    script = Script("I see.")
    history, open_calls = broken_off("read", started="read")
    events = await play(world, script, history=history, open_calls=open_calls)
    assert shape(events)[:3] == ["read begins", "read ends", "step begins"]
    assert results(script) == [("read", "it reads", False)]


async def test_an_effect_that_was_under_way_is_never_repeated(world: World) -> None:
    script = Script("I shall check.")
    history, open_calls = broken_off("write", "read", started="write")
    events = await play(world, script, history=history, open_calls=open_calls)
    assert shape(events)[:3] == ["write fails", "read begins", "read ends"]
    assert world.effects == ["read"]
    assert "may or may not have happened" in results(script)[0][1]


async def test_a_call_of_a_tool_that_is_gone_may_have_happened(world: World) -> None:
    history, open_calls = broken_off("removed", started="removed")
    script = Script("I see.")
    await play(world, script, history=history, open_calls=open_calls)
    assert "may or may not have happened" in results(script)[0][1]


async def test_an_effect_that_had_not_begun_runs(world: World) -> None:
    script = Script("Done.")
    history, open_calls = broken_off("write")
    await play(world, script, history=history, open_calls=open_calls)
    assert world.effects == ["write a"]
