from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from opencraw.errors import ModelFailure
from opencraw.model import (
    AssistantMessage,
    ModelEvent,
    ModelReply,
    Prompt,
    TextDelta,
    Thinking,
    ToolCall,
)
from opencraw.runtime.loop import (
    Brief,
    Loop,
    LoopLimits,
    ToolBegins,
    ToolEnds,
)
from opencraw.tools.registry import Toolbox
from tests.fixtures.askers import SOMEBODY
from tests.fixtures.script import Script, calls
from tests.runtime.playing import HELLO, LIMITS, Deaf, World, play, results, shape


async def test_a_model_that_answers_ends_the_turn(world: World) -> None:
    script = Script("Hello to you.")
    assert shape(await play(world, script)) == [
        "step begins", "text Hello", "text to", "text you.", "step ends Hello to you.",
    ]  # fmt: skip
    [prompt] = script.prompts
    assert prompt.system == "system"
    assert prompt.messages == HELLO
    assert [spec.name for spec in prompt.tools][:2] == ["write", "read"]


async def test_a_tool_round_goes_back_to_the_model(world: World) -> None:
    script = Script(calls(("calculate", '{"expression": "6*7"}'), text="Let me see."), "It is 42.")
    events = await play(world, script)
    assert shape(events)[-8:] == [
        "step ends Let me see.", "calculate begins", "calculate ends",
        "step begins", "text It", "text is", "text 42.", "step ends It is 42.",
    ]  # fmt: skip
    assert results(script) == [("calculate", "42", False)]


async def test_calls_of_one_step_run_in_order_and_each_is_announced(world: World) -> None:
    script = Script(calls(("write", '{"what": "a"}'), "read", ("write", '{"what": "b"}')), "Done.")
    events = await play(world, script)
    assert shape(events)[2:8] == [
        "write begins", "write ends", "read begins", "read ends", "write begins", "write ends"
    ]  # fmt: skip
    assert world.effects == ["write a", "read", "write b"]


async def test_a_call_has_its_effect_only_after_it_was_written_down(world: World) -> None:
    """Whoever stops at the announcement of a call stops before its effect."""
    script = Script(calls(("write", '{"what": "a"}')))
    loop = Loop(script, Toolbox(world.tools()), LIMITS)
    async with aclosing(loop.run(Brief(SOMEBODY, "", HELLO), Deaf())) as events:
        async for event in events:
            if isinstance(event, ToolBegins):
                break
    assert world.effects == []


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (("nothing_like_it", "{}"), "There is no such tool."),
        (("write", "{}"), "do not fit"),
        (("write", '{"what": 7}'), "do not fit"),
        (("write", '{"what": "a", "where": "b"}'), "do not fit"),
        (("write", '{"what": "a"'), "do not fit"),
        (("write", '["a"]'), "do not fit"),
        (("write", '{"what": "\\ud800"}'), "do not fit"),
        (("write", "[" * 100_000), "do not fit"),
        (("broken", "{}"), "LookupError: no such page"),
        (("impatient", ""), "TimeoutError: the server did not answer"),
        (("quitter", "{}"), "it cancelled itself"),
        (("calculate", '{"expression": "1/0"}'), "division by zero"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_what_goes_wrong_in_a_tool_is_told_to_the_model(
    world: World, call: tuple[str, str], words: str
) -> None:
    script = Script(calls(call), "I see.")
    assert shape(await play(world, script))[-1] == "step ends I see."
    [(_, text, failed)] = results(script)
    assert failed
    assert words in text
    assert world.effects == []


async def test_a_call_without_arguments_may_leave_them_out(world: World) -> None:
    script = Script(calls(("read", "")), "I see.")
    await play(world, script)
    assert results(script) == [("read", "it reads", False)]


async def test_a_tool_that_takes_too_long_is_stopped(world: World) -> None:
    script = Script(calls("endless"), "Never mind.")
    await play(world, script, limits=LoopLimits(3, 0.05, 1_000))
    [(_, text, failed)] = results(script)
    assert failed
    assert "0.05 seconds" in text
    assert world.effects == ["cleaned up"]


async def test_a_long_result_is_shown_with_its_middle_left_out(world: World) -> None:
    script = Script(calls("talkative"), "A lot.")
    events = await play(world, script, limits=LoopLimits(3, 5.0, 300))
    [(_, text, _)] = results(script)
    assert len(text) < 400
    assert "4702 characters left out" in text
    [whole] = [event.result.text for event in events if isinstance(event, ToolEnds)]
    assert whole == "\ufffd\ufffd" + "a" * 5_000, (
        "the transcript gets all of it, and it can be stored"
    )


async def test_a_model_that_does_not_stop_calling_is_told_and_then_ended(world: World) -> None:
    """tool_loops_max rounds run, one more is answered with words, then it is over."""
    script = Script(*[calls(("write", '{"what": "a"}')) for _ in range(6)])
    events: list[str] = []
    with pytest.raises(ModelFailure, match="kept calling tools"):
        await play(world, script, at=lambda event: events.extend(shape([event])))
    assert world.effects == ["write a"] * 3
    assert events.count("write fails") == 1
    assert "used all its tool calls" in results(script)[-1][1]
    assert len(script.prompts) == 5


async def test_a_model_that_heeds_the_limit_answers(world: World) -> None:
    script = Script(*[calls("read") for _ in range(4)], "That is all I found.")
    assert shape(await play(world, script))[-1] == "step ends That is all I found."


async def test_a_turn_that_is_let_go_lets_go_of_its_model(world: World) -> None:
    closed = asyncio.Event()

    async def endless(_: Prompt) -> AsyncGenerator[ModelEvent]:
        try:
            while True:
                yield TextDelta("and ")
                await asyncio.sleep(0)
        finally:
            closed.set()

    loop = Loop(Script(endless), Toolbox(()), LIMITS)

    async def listen() -> None:
        async with aclosing(loop.run(Brief(SOMEBODY, "", HELLO), Deaf())) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    return

    await listen()
    async with asyncio.timeout(5):
        await closed.wait()


async def test_a_model_is_shown_its_own_thinking_again(world: World) -> None:
    thought = (Thinking("vendor", "hm", "sig"),)
    asked = ToolCall("c1", "read", "{}")
    script = Script(ModelReply("", (asked,), thought, stop="tool_calls"), "I see.")
    await play(world, script)
    assert script.prompts[1].messages[1] == AssistantMessage("", (asked,), thought)
