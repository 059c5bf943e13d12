"""What every provider promises, whatever its wire format."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from uuid import UUID

import pytest

from opencraw.errors import FailureKind, ModelFailure
from opencraw.model import (
    AssistantMessage,
    Message,
    ModelEvent,
    ModelReply,
    Picture,
    Prompt,
    StillWorking,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolMessage,
    ToolSpec,
    Usage,
    UserMessage,
)
from opencraw.providers.demo import DemoProvider
from tests.attachments import samples
from tests.fakes.model_server import CHECKS, ModelServer
from tests.providers.conftest import Connect, events, reply, says

WIRES = ["openai", "openai-responses", "anthropic"]
TOOLS = tuple(
    ToolSpec(name, "A tool.", {"type": "object", "properties": {"expression": {"type": "string"}}})
    for name in ("calculate", "current_time")
)

over_every_wire = pytest.mark.parametrize("name", WIRES)
by_every_provider = pytest.mark.parametrize("name", [*WIRES, "demo"])


async def failure(connect: Connect, name: str, text: str, **fields: object) -> ModelFailure:
    with pytest.raises(ModelFailure) as raised:
        await events(connect(name, **fields), says(text))
    return raised.value


@by_every_provider
async def test_deltas_come_first_and_add_up_to_the_reply(connect: Connect, name: str) -> None:
    told = await events(connect(name), says("hello <<n1>> übermäßig 😀  two  spaces\n\nline"))
    *deltas, last = told
    assert isinstance(last, ModelReply)
    assert last.text == "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))
    assert all(isinstance(delta, TextDelta | ThinkingDelta | StillWorking) for delta in deltas)
    assert "hello <<n1>> übermäßig 😀  two  spaces\n\nline" in last.text
    assert (last.stop, last.tool_calls) == ("end", ())


@by_every_provider
async def test_tokens_are_counted(connect: Connect, name: str) -> None:
    usage = (await reply(connect(name), says("one two three"))).usage
    assert usage.prompt_tokens >= 6
    assert usage.completion_tokens > 0
    assert 0 <= usage.cached_tokens <= usage.prompt_tokens


FORMATS = {"openai": "chat", "openai-responses": "responses", "anthropic": "messages"}


def _picture(content_type: str, data: bytes) -> Picture:
    return Picture(UUID(int=1), content_type, 100, data)


@over_every_wire
async def test_pictures_are_looked_at(connect: Connect, server: ModelServer, name: str) -> None:
    pictures = (_picture("image/png", samples.png()), _picture("image/jpeg", samples.jpeg()))
    question = UserMessage("<<which is larger?>>", pictures)
    assert "which is larger?" in (await reply(connect(name), Prompt("system", (question,)))).text
    asked = CHECKS[FORMATS[name]](server.requests[-1])
    told = "".join(said.text for said in asked.conversation)
    sizes = len(samples.png()), len(samples.jpeg())
    assert told == (
        f"<image/png of {sizes[0]} bytes><image/jpeg of {sizes[1]} bytes><<which is larger?>>"
    )


@over_every_wire
async def test_what_is_no_picture_is_a_failure_of_form(connect: Connect, name: str) -> None:
    question = UserMessage("look", (_picture("image/png", b"no picture"),))
    with pytest.raises(ModelFailure) as raised:
        await reply(connect(name), Prompt("system", (question,)))
    assert raised.value.kind is FailureKind.FORMAT


QUESTIONS = 'what is 6*7? [[tool calculate {"expression":"6*7"}]]'


@by_every_provider
async def test_a_tool_is_called_and_its_result_read(connect: Connect, name: str) -> None:
    provider = connect(name)
    prompt = Prompt("system", (UserMessage(QUESTIONS),), TOOLS)
    first = await reply(provider, prompt)
    assert first.stop == "tool_calls"
    [call] = first.tool_calls
    assert (call.name, call.arguments) == ("calculate", '{"expression":"6*7"}')
    assert call.id
    answered = (
        *prompt.messages,
        AssistantMessage(first.text, first.tool_calls, first.thinking),
        ToolMessage(call.id, call.name, "42"),
    )
    second = await reply(provider, Prompt("system", answered, TOOLS))
    assert "42" in second.text
    assert second.stop == "end"


@over_every_wire
async def test_a_model_that_writes_a_long_tool_call_shows_that_it_lives(
    connect: Connect, name: str
) -> None:
    long = '[[tool calculate {"expression":"' + "1+" * 200 + '1"}]] [[drip 64]]'
    *signs, last = await events(connect(name), Prompt("", (UserMessage(long),), TOOLS))
    assert isinstance(last, ModelReply)
    assert last.stop == "tool_calls"
    assert signs.count(StillWorking()) > 5


@over_every_wire
async def test_a_ping_is_a_sign_of_life_too(connect: Connect, name: str) -> None:
    provider = connect(name, total_timeout_seconds=0.3)
    signs: list[ModelEvent] = []

    async def listen() -> None:
        async with aclosing(provider.stream(says("[[pings]]"))) as stream:
            async for event in stream:
                signs.append(event)  # noqa: PERF401 - what came before the failure counts

    with pytest.raises(ModelFailure, match="not complete"):
        await listen()
    assert signs.count(StillWorking()) > 1


@by_every_provider
async def test_several_tools_are_called_at_once(connect: Connect, name: str) -> None:
    provider = connect(name)
    prompt = Prompt(
        "system",
        (UserMessage(QUESTIONS), UserMessage("what time is it? [[tool current_time]]")),
        TOOLS,
    )
    calls = (await reply(provider, prompt)).tool_calls
    assert [call.name for call in calls] == ["calculate", "current_time"]
    assert calls[0].id != calls[1].id
    results = [ToolMessage(call.id, call.name, f"result {call.name}") for call in calls]
    answered = (*prompt.messages, AssistantMessage("", calls), *results, UserMessage("and now?"))
    second = await reply(provider, Prompt("system", answered, TOOLS))
    assert "result calculate" in second.text
    assert "result current_time" in second.text


@by_every_provider
async def test_streams_of_one_provider_do_not_mix(connect: Connect, name: str) -> None:
    provider = connect(name)
    texts = [f"<<nonce-{number}>>" for number in range(20)]
    replies = await asyncio.gather(*(reply(provider, says(text)) for text in texts))
    for text, answer in zip(texts, replies, strict=True):
        assert text in answer.text


LONG_HISTORY: tuple[Message, ...] = (
    UserMessage("first"),
    UserMessage("second, sent before any answer"),
    AssistantMessage("", (ToolCall("call.odd:0", "calculate", '{"expression":"1"}'),)),
    ToolMessage("call.odd:0", "calculate", "there is no result", failed=True),
    AssistantMessage("one"),
    AssistantMessage("and more", thinking=(Thinking("someone-else", "?", "x"),)),
    UserMessage("stop"),
    AssistantMessage(""),
    UserMessage("go on"),
)


@by_every_provider
async def test_histories_of_other_vendors_are_accepted(connect: Connect, name: str) -> None:
    assert "go on" in (await reply(connect(name), Prompt("", LONG_HISTORY))).text


@by_every_provider
async def test_half_characters_in_a_history_are_survived(connect: Connect, name: str) -> None:
    assert (await reply(connect(name), says("odd \ud83d text"))).stop == "end"


@pytest.mark.parametrize("name", ["openai-responses", "anthropic"])
async def test_thinking_goes_back_as_it_came(connect: Connect, name: str) -> None:
    thinks = {"thinking_tokens": 2048} if name == "anthropic" else {}
    provider = connect(name, **thinks)
    question = UserMessage("[[think So be it.]] [[redacted]] [[tool calculate]]")
    first = await reply(provider, Prompt("", (question,), TOOLS))
    assert first.thinking[0].provider == name
    assert first.thinking[0].text == "So be it."
    [call] = first.tool_calls
    spoken = AssistantMessage(first.text, first.tool_calls, first.thinking)
    again = (question, spoken, ToolMessage(call.id, call.name, "42"))
    # The server refuses thinking that is missing or not its own.
    assert "42" in (await reply(provider, Prompt("", again, TOOLS))).text


@over_every_wire
async def test_thinking_is_shown_and_not_taken_for_text(connect: Connect, name: str) -> None:
    told = await events(connect(name), says("[[think Hm, well.]] [[say yes]]"))
    thought = "".join(event.text for event in told if isinstance(event, ThinkingDelta))
    assert thought == "Hm, well."
    assert isinstance(told[-1], ModelReply)
    assert told[-1].text == "yes"


@over_every_wire
@pytest.mark.parametrize("mark", ["drip 1", "drip 3", "crlf", "comments", "text-too"])
async def test_every_cut_and_dialect_of_a_stream_reads_alike(
    connect: Connect, name: str, mark: str
) -> None:
    text = f'[[{mark}]] é😀ß [[tool calculate {{"expression":"é\\"😀"}}]] [[text-too]]'
    answer = await reply(connect(name), says(text))
    assert answer.text.strip() == "é😀ß"
    assert answer.tool_calls[0].arguments == '{"expression":"é\\"😀"}'


@over_every_wire
async def test_an_answer_cut_at_its_length_calls_nothing(connect: Connect, name: str) -> None:
    answer = await reply(connect(name), says('[[length]] [[tool calculate {"expression":"1"}]]'))
    assert (answer.stop, answer.tool_calls) == ("length", ())


@over_every_wire
async def test_a_refusal_is_told(connect: Connect, name: str) -> None:
    answer = await reply(connect(name), says("[[refused]] I cannot do that"))
    assert (answer.stop, answer.text.strip()) == ("refused", "I cannot do that")


@over_every_wire
async def test_a_nul_never_comes_through(connect: Connect, name: str) -> None:
    answer = await reply(
        connect(name), says('a\x00b [[tool calculate {"e":"\\u0000"}]] [[text-too]]')
    )
    assert "\x00" not in answer.text
    assert answer.tool_calls[0].arguments == '{"e":""}'


FAULTS = [
    ("[[cut]]", FailureKind.UNREACHABLE),
    ("[[short]]", FailureKind.UNREACHABLE),
    ("[[stall]]", FailureKind.TIMEOUT),
    ("[[silent]]", FailureKind.TIMEOUT),
    ("[[garbage]]", FailureKind.FORMAT),
    ("[[missing]]", FailureKind.FORMAT),
    ("[[huge-line]]", FailureKind.FORMAT),
    ("[[html]]", FailureKind.FORMAT),
    ("[[json]]", FailureKind.FORMAT),
    ("[[redirect]]", FailureKind.FORMAT),
    ("[[error-mid-stream]]", FailureKind.OVERLOADED),
    ("[[billing]]", FailureKind.BILLING),
    ("[[overflow]]", FailureKind.CONTEXT_OVERFLOW),
    ("[[status 401]]", FailureKind.AUTH),
    ("[[status 402]]", FailureKind.BILLING),
    ("[[status 403]]", FailureKind.AUTH),
    ("[[status 404]]", FailureKind.FORMAT),
    ("[[status 429]]", FailureKind.RATE_LIMITED),
    ("[[status 500]]", FailureKind.OVERLOADED),
    ("[[status 503]]", FailureKind.OVERLOADED),
    ("[[status 504]]", FailureKind.TIMEOUT),
    ("[[status 529]]", FailureKind.OVERLOADED),
]


@over_every_wire
@pytest.mark.parametrize(("directive", "kind"), FAULTS)
async def test_every_fault_is_a_failure_of_its_kind(
    connect: Connect, name: str, directive: str, kind: FailureKind
) -> None:
    text = f"[[words 30]] {directive}"
    raised = await failure(connect, name, text, idle_timeout_seconds=0.15)
    assert raised.kind == kind, str(raised)
    assert str(raised).startswith(f"{name}/model: ")


@over_every_wire
@pytest.mark.parametrize("fault", ["cut", "short"])
async def test_half_a_tool_call_never_surfaces(connect: Connect, name: str, fault: str) -> None:
    arguments = '{"expression":"' + "1+" * 100 + '1"}'
    raised = await failure(connect, name, f"[[tool calculate {arguments}]] [[{fault}]]")
    assert raised.kind == FailureKind.UNREACHABLE


@over_every_wire
@pytest.mark.parametrize("arguments", ["[1,2]", "7", '{"a":', "not json", "[" * 5000])
async def test_arguments_that_are_no_object_are_refused(
    connect: Connect, name: str, arguments: str
) -> None:
    raised = await failure(connect, name, f"[[tool calculate {arguments}]]")
    assert raised.kind == FailureKind.FORMAT


@over_every_wire
async def test_the_vendors_wish_is_passed_on(connect: Connect, name: str) -> None:
    raised = await failure(connect, name, "[[status 429 retry-after 7]]")
    assert raised.retry_after == 7.0


@over_every_wire
@pytest.mark.parametrize("fault", ["endless", "pings", "endless]] [[delay 0.02"])
async def test_an_endless_stream_meets_its_deadline(
    connect: Connect, name: str, fault: str
) -> None:
    began = time.monotonic()
    raised = await failure(connect, name, f"[[{fault}]]", total_timeout_seconds=0.3)
    assert raised.kind == FailureKind.TIMEOUT
    assert time.monotonic() - began < 5


@over_every_wire
async def test_a_reply_that_is_too_long_is_given_up(connect: Connect, name: str) -> None:
    raised = await failure(connect, name, "[[endless]]", max_reply_bytes=50_000)
    assert raised.kind == FailureKind.FORMAT
    assert "max_reply_bytes" in str(raised)


@over_every_wire
async def test_cancelling_closes_the_connection(
    server: ModelServer, connect: Connect, name: str
) -> None:
    heard = asyncio.Event()

    async def listen() -> None:
        async with aclosing(connect(name).stream(says("[[words 30]] [[stall]]"))) as stream:
            async for event in stream:
                if isinstance(event, TextDelta):
                    heard.set()

    task = asyncio.create_task(listen())
    await heard.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await gone(server)
    assert list(server.outcomes) == ["disconnected"]


@over_every_wire
async def test_a_stream_that_is_closed_early_closes_the_connection(
    server: ModelServer, connect: Connect, name: str
) -> None:
    stream = connect(name).stream(says("[[words 30]] [[stall]]"))
    await anext(stream)
    await stream.aclose()
    await gone(server)
    assert list(server.outcomes) == ["disconnected"]


async def gone(server: ModelServer) -> None:
    """Wait until the server has no request left; the test's own timeout ends a wait in vain."""
    while server.active or not server.outcomes:
        await asyncio.sleep(0.002)


async def test_the_demo_needs_no_network() -> None:
    told = await events(DemoProvider(pace=0), says("hello"))
    assert isinstance(told[-1], ModelReply)
    assert told[-1].usage != Usage()
