from __future__ import annotations

from opencraw.model import (
    TextDelta,
    ToolMessage,
    UserMessage,
)
from opencraw.runtime.loop import (
    RuntimeEvent,
    ToolBegins,
    ToolEnds,
)
from tests.fixtures.script import Script, calls
from tests.runtime.playing import HELLO, Spoken, World, play, results, shape


async def test_what_is_said_before_the_first_step_is_heard_at_once(world: World) -> None:
    script, ears = Script("Yes."), Spoken()
    ears.said = [UserMessage("wait, one more thing"), UserMessage("and another")]
    await play(world, script, ears=ears)
    assert script.prompts[0].messages == (*HELLO, *[UserMessage("wait, one more thing"),
                                                    UserMessage("and another")])  # fmt: skip


async def test_what_is_said_while_a_tool_runs_skips_the_calls_that_did_not_begin(
    world: World,
) -> None:
    script = Script(calls("read", ("write", '{"what": "a"}'), "nothing_like_it"), "I see.")
    ears = Spoken()

    def speak(event: RuntimeEvent) -> None:
        if isinstance(event, ToolBegins):
            ears.said.append(UserMessage("stop, do not write"))

    events = await play(world, script, ears=ears, at=speak)
    assert shape(events)[2:6] == [
        "read begins",
        "read ends",
        "write fails",
        "nothing_like_it fails",
    ]
    assert world.effects == ["read"]
    told = script.prompts[-1].messages
    assert told[-1] == UserMessage("stop, do not write")
    assert isinstance(told[-2], ToolMessage)
    assert [failed for _, _, failed in results(script)] == [False, True, True]
    assert "the person wrote again" in results(script)[1][1]


async def test_what_is_said_after_the_last_tool_is_heard_before_the_model_is_asked(
    world: World,
) -> None:
    script, ears = Script(calls("read"), "I see."), Spoken()

    def speak(event: RuntimeEvent) -> None:
        if isinstance(event, ToolEnds):
            ears.said.append(UserMessage("quickly"))

    await play(world, script, ears=ears, at=speak)
    assert script.prompts[-1].messages[-1] == UserMessage("quickly")


async def test_what_is_said_during_the_last_step_is_not_heard_by_this_turn(world: World) -> None:
    script, ears = Script("Hello to you."), Spoken()

    def speak(event: RuntimeEvent) -> None:
        if isinstance(event, TextDelta):
            ears.said.append(UserMessage("too late"))

    await play(world, script, ears=ears, at=speak)
    assert ears.said
    assert len(script.prompts) == 1
