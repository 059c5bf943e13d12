from __future__ import annotations

import re

import pytest

from opencraw.model import (
    AssistantMessage,
    Message,
    ModelReply,
    Prompt,
    ToolCall,
    ToolMessage,
    ToolSpec,
    UserMessage,
)
from opencraw.providers.demo import COUNT_LIMIT, reply
from opencraw.providers.demo_texts import INTRODUCTION, STORY_PARTS

TOOLS = tuple(ToolSpec(name, "", {"type": "object"}) for name in ("calculate", "current_time"))
EARLIER = (UserMessage("hello"), AssistantMessage("Hello!"))


def ask(*messages: Message | str, tools: tuple[ToolSpec, ...] = TOOLS) -> ModelReply:
    said = tuple(UserMessage(one) if isinstance(one, str) else one for one in messages)
    return reply(Prompt("system", said, tools))


def test_the_first_answer_says_what_it_is() -> None:
    assert ask("hello").text.startswith(INTRODUCTION)
    assert INTRODUCTION not in ask(*EARLIER, "hello again").text


def test_what_it_says_depends_on_the_prompt_alone() -> None:
    assert ask("hello") == ask("hello")


@pytest.mark.parametrize(
    ("question", "name", "arguments"),
    [
        ("what is 12*7?", "calculate", '{"expression":"12*7"}'),
        ("What's (3 + 4) / 2.5 ?", "calculate", '{"expression":"(3 + 4) / 2.5"}'),
        ("calculate 3 x 4", "calculate", '{"expression":"3 * 4"}'),
        ("please work out 1,000 ÷ 2^3", "calculate", '{"expression":"1000 / 2**3"}'),
        ("what time is it?", "current_time", "{}"),
        ("Tell me today's date", "current_time", "{}"),
    ],
)
def test_it_calls_tools(question: str, name: str, arguments: str) -> None:
    first = ask(*EARLIER, question)
    [call] = first.tool_calls
    assert (call.name, call.arguments, first.stop, first.text) == (
        name,
        arguments,
        "tool_calls",
        "",
    )
    spoken = AssistantMessage("", first.tool_calls)
    second = ask(*EARLIER, question, spoken, ToolMessage(call.id, name, "Ö42"))
    assert "Ö42" in second.text
    assert second.tool_calls == ()


def test_a_tool_that_failed_is_not_called_again() -> None:
    call = ToolCall("c", "current_time", "{}")
    result = ToolMessage("c", "current_time", "no clock", failed=True)
    told = ask("what time is it?", AssistantMessage("", (call,)), result)
    assert "no clock" in told.text
    assert told.tool_calls == ()


def test_a_tool_that_is_not_offered_is_not_called() -> None:
    told = ask("what is 1+1", tools=())
    assert told.tool_calls == ()
    assert "`calculate`" in told.text


@pytest.mark.parametrize("question", ["what is 5", "what is love", "this is 2 good", "any time"])
def test_other_questions_need_no_tool(question: str) -> None:
    assert ask(question).tool_calls == ()


def test_messages_that_were_collected_are_all_answered() -> None:
    told = ask("my name is Ada", "what is my name?", "count to 3")
    assert "Hello, Ada!" in told.text
    assert "Your name is Ada." in told.text
    assert told.text.endswith("1 2 3")


def test_it_remembers_what_the_history_holds() -> None:
    history = (
        UserMessage("my name is Ada Lovelace and I write"),
        AssistantMessage("Hello!"),
        UserMessage("Remember that the key lies under the mat."),
        AssistantMessage("I will."),
        UserMessage("what do you remember about me?"),
        AssistantMessage("That."),
    )
    assert "Your name is Ada Lovelace." in ask(*history, "What is my name?").text
    facts = ask(*history, "what did I tell you?").text
    assert re.findall("- (.*)", facts) == [
        "my name is Ada Lovelace",
        "the key lies under the mat",
    ]
    assert "not told me your name" in ask(*EARLIER, "who am I?").text
    assert "not asked me" in ask(*EARLIER, "what do you remember?").text


def test_long_answers_are_long_and_show_where_they_are() -> None:
    story = ask(*EARLIER, "tell me a long story").text
    assert [int(part) for part in re.findall(r"Part (\d+) of", story)] == list(
        range(1, STORY_PARTS + 1)
    )
    assert ask(*EARLIER, "count to 500").text.split()[-1] == "500"
    assert len(ask(*EARLIER, f"count to {'9' * 100_000}").text.split()) == COUNT_LIMIT
    assert ask(*EARLIER, "count to 0").text == "There is nothing to count."


def test_markdown_shows_each_kind() -> None:
    shown = ask(*EARLIER, "show markdown").text
    for sign in ("## ", "1. ", "   - ", "| --- |", "```python", "> ", "**", "[link]("):
        assert sign in shown


@pytest.mark.parametrize("text", ["", " ", "\n", "\x00", "🦀" * 5000, "[" * 50_000, "my name is"])
def test_anything_is_answered(text: str) -> None:
    assert ask(text).text
