from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

import pytest

from opencraw.context.window import OpenCall
from opencraw.errors import FailureKind, ModelFailure
from opencraw.model import (
    AssistantMessage,
    Message,
    ModelEvent,
    ModelReply,
    Prompt,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from opencraw.runtime.loop import (
    Loop,
    LoopLimits,
    RuntimeEvent,
    StepBegins,
    StepEnds,
    ToolBegins,
    ToolEnds,
)
from opencraw.tools.builtin import calculate
from opencraw.tools.registry import Risk, Tool, Toolbox, tool
from tests.fixtures.core import Script, calls

HELLO = (UserMessage("hello"),)
LIMITS = LoopLimits(tool_loops_max=3, tool_max_runtime_seconds=5.0, max_tool_chars=1_000)


class Deaf:
    """Nobody speaks."""

    async def hearing(self) -> bool:
        return False

    async def hear(self) -> Sequence[UserMessage]:
        return ()


class Spoken(Deaf):
    """Somebody speaks when a test says so."""

    def __init__(self) -> None:
        self.said: list[UserMessage] = []

    async def hearing(self) -> bool:
        return bool(self.said)

    async def hear(self) -> Sequence[UserMessage]:
        said, self.said = self.said, []
        return said


class World:
    """What the effects of tools leave behind."""

    def __init__(self) -> None:
        self.effects: list[str] = []

    def tools(self) -> tuple[Tool, ...]:
        effects = self.effects

        @tool(risk=Risk.EFFECT)
        async def write(what: str) -> str:
            """Write something down."""
            effects.append(f"write {what}")
            return f"wrote {what}"

        @tool(risk=Risk.READ)
        async def read() -> str:
            """Read what is written."""
            effects.append("read")
            return "it reads"

        @tool(risk=Risk.READ)
        async def broken() -> str:
            """Fail."""
            raise LookupError("no such page")

        @tool(risk=Risk.READ)
        async def impatient() -> str:
            """Fail as a library does that waited for something else."""
            raise TimeoutError("the server did not answer")

        @tool(risk=Risk.READ)
        async def quitter() -> str:
            """Cancel oneself."""
            raise asyncio.CancelledError

        @tool(risk=Risk.READ)
        async def endless() -> str:
            """Never end."""
            try:
                await asyncio.Event().wait()
            finally:
                effects.append("cleaned up")
            return ""

        @tool(risk=Risk.READ)
        async def talkative() -> str:
            """Say too much."""
            return "\x00\ud800" + "a" * 5_000

        return (write, read, broken, impatient, quitter, endless, talkative, calculate)


@pytest.fixture
def world() -> World:
    return World()


async def play(
    world: World,
    script: Script,
    *,
    history: Sequence[Message] = HELLO,
    open_calls: Sequence[OpenCall] = (),
    ears: Deaf | None = None,
    limits: LoopLimits = LIMITS,
    at: Callable[[RuntimeEvent], None] = lambda _: None,
) -> list[RuntimeEvent]:
    """Run the loop to its end; `at` is called with each event when it is written down."""
    loop = Loop(script, Toolbox(world.tools()), limits)
    events = []
    async with aclosing(loop.run("system", history, open_calls, ears or Deaf())) as running:
        async for event in running:
            at(event)
            events.append(event)
    assert not script.objections
    return events


def shape(events: Sequence[RuntimeEvent]) -> list[str]:
    """The events in a word each."""
    words = []
    for event in events:
        match event:
            case TextDelta(text):
                words.append(f"text {text.strip()}")
            case StepBegins():
                words.append("step begins")
            case StepEnds(reply):
                words.append(f"step ends {reply.text}".strip())
            case ToolBegins(call):
                words.append(f"{call.name} begins")
            case ToolEnds(call, result):
                words.append(f"{call.name} {'fails' if result.failed else 'ends'}")
    return words


def results(script: Script, prompt: int = -1) -> list[tuple[str, str, bool]]:
    """What the model was told about its calls."""
    return [
        (message.name, message.text, message.failed)
        for message in script.prompts[prompt].messages
        if isinstance(message, ToolMessage)
    ]


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
    async with aclosing(loop.run("", HELLO, (), Deaf())) as events:
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


# Steering.


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


# A turn that was broken off.


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


# A model that fails.

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
        async with aclosing(loop.run("", HELLO, (), Deaf())) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    return

    await listen()
    async with asyncio.timeout(5):
        await closed.wait()


async def test_a_model_is_shown_its_own_thinking_again(world: World) -> None:
    from opencraw.model import Thinking

    thought = (Thinking("vendor", "hm", "sig"),)
    asked = ToolCall("c1", "read", "{}")
    script = Script(ModelReply("", (asked,), thought, stop="tool_calls"), "I see.")
    await play(world, script)
    assert script.prompts[1].messages[1] == AssistantMessage("", (asked,), thought)
