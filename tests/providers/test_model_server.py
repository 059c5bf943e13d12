"""The fake model server refuses what the vendors refuse, and keeps its ledger."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from opencraw.errors import ModelFailure
from opencraw.model import AssistantMessage, Message, Prompt, ToolMessage, UserMessage
from tests.fakes.anthropic_checks import check_messages
from tests.fakes.model_checks import Rejected, check_chat, check_responses
from tests.fakes.model_server import ModelServer
from tests.providers.conftest import Connect, reply, says

USER = {"role": "user", "content": "hi"}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "x"}


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([], "too short"),
        ([USER, CALLING], "must be followed by tool messages"),
        ([USER, CALLING, USER], "must be followed by tool messages"),
        ([USER, RESULT], "must be a response"),
        ([USER, CALLING, RESULT, RESULT], "must be a response"),
        ([USER, {"role": "assistant", "content": None}], "content"),
        ([USER, {"role": "assistant", "content": "", "tool_calls": []}], "too short"),
        ([USER, {**CALLING, "tool_calls": [CALL, CALL]}], "duplicate"),
        ([{"role": "wizard", "content": "x"}], "role"),
    ],
)
def test_chat_histories_that_the_vendor_refuses(messages: list[Any], told: str) -> None:
    with pytest.raises(Rejected, match=told):
        check_chat({"model": "m", "messages": messages})


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"model": ""}, "model"),
        ({"max_tokens": 1, "max_completion_tokens": 1}, "not supported"),
        ({"frequency": 1}, "Unrecognized"),
        ({"tools": []}, "too short"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "name"),
        ({"stream_options": {"include_usage": True}}, "stream"),
    ],
)
def test_chat_requests_that_the_vendor_refuses(fields: dict[str, Any], told: str) -> None:
    check_chat({"model": "m", "messages": [USER, CALLING, RESULT, USER]})
    with pytest.raises(Rejected, match=told):
        check_chat({"model": "m", "messages": [USER], **fields})


def blocks(role: str, *content: dict[str, Any]) -> dict[str, Any]:
    return {"role": role, "content": list(content)}


TEXT = {"type": "text", "text": "hi"}
USE = {"type": "tool_use", "id": "c1", "name": "f", "input": {}}
USED = {"type": "tool_result", "tool_use_id": "c1", "content": "x"}
MARKED = {**TEXT, "cache_control": {"type": "ephemeral"}}


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([], "at least one"),
        ([blocks("assistant", TEXT)], "alternate"),
        ([blocks("user", TEXT), blocks("user", TEXT)], "alternate"),
        ([blocks("user")], "not be empty"),
        ([blocks("user", {"type": "text", "text": " "})], "blank"),
        ([blocks("user", TEXT), blocks("assistant", USE)], "without `tool_result`"),
        ([blocks("user", TEXT), blocks("assistant", USE), blocks("user", TEXT)], "without"),
        ([blocks("user", TEXT), blocks("assistant", USE), blocks("user", TEXT, USED)], "first"),
        ([blocks("user", USED)], "unexpected"),
        ([blocks("user", *[MARKED] * 5)], "maximum of 4"),
        (
            [
                blocks("user", TEXT),
                blocks("assistant", {"type": "thinking", "thinking": "a", "signature": "forged"}),
            ],
            "signature",
        ),
    ],
)
def test_message_histories_that_the_vendor_refuses(messages: list[Any], told: str) -> None:
    with pytest.raises(Rejected, match=told):
        check_messages({"model": "m", "max_tokens": 9, "messages": messages})


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"n": 1}, "Extra inputs"),
        ({"thinking": {"type": "enabled", "budget_tokens": 10}}, "1024"),
        ({"thinking": {"type": "enabled", "budget_tokens": 5000}}, "greater"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "must start with a thinking"),
    ],
)
def test_message_requests_that_the_vendor_refuses(fields: dict[str, Any], told: str) -> None:
    history = [blocks("user", TEXT), blocks("assistant", USE), blocks("user", USED, MARKED)]
    good = {"model": "m", "max_tokens": 4096, "messages": history}
    check_messages(good)
    with pytest.raises(Rejected, match=told):
        check_messages({**good, **fields})


FUNCTION_CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "x"}
THOUGHT = {"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "forged"}


@pytest.mark.parametrize(
    ("items", "told"),
    [
        ([], "Missing"),
        ([USER, FUNCTION_CALL], "No tool output"),
        ([USER, FUNCTION_CALL, USER], "No tool output"),
        ([USER, OUTPUT], "No tool call"),
        ([USER, THOUGHT, FUNCTION_CALL, OUTPUT], "could not be verified"),
        ([USER, {"type": "poem"}], "invalid value"),
    ],
)
def test_inputs_that_the_vendor_refuses(items: list[Any], told: str) -> None:
    check_responses({"model": "m", "input": [USER, FUNCTION_CALL, OUTPUT, USER]})
    with pytest.raises(Rejected, match=told):
        check_responses({"model": "m", "input": items})


async def test_a_turn_goes_step_by_step(connect: Connect) -> None:
    question = UserMessage("[[tool a {}]] [[next]] [[tool b {}]] [[next]] [[say done]]")
    provider = connect("openai")
    messages: list[Message] = [question]
    names = []
    for _ in range(3):
        told = await reply(provider, Prompt("", tuple(messages)))
        names.append(told.text or told.tool_calls[0].name)
        results = [ToolMessage(call.id, call.name, "x") for call in told.tool_calls]
        messages += [AssistantMessage(told.text, told.tool_calls), *results]
    assert names == ["a", "b", "done"]


async def test_a_script_comes_before_the_texts(connect: Connect, server: ModelServer) -> None:
    async with aiohttp.ClientSession() as session:
        script = {"script": ["[[say one]]", "two"]}
        async with session.post(server.url + "/_control", json=script) as answer:
            assert (await answer.json())["script"] == ["[[say one]]", "two"]
    provider = connect("openai")
    said = [(await reply(provider, says("echo"))).text for _ in range(3)]
    assert said == ["one", "two", "echo"]


async def test_a_fault_is_due_as_often_as_it_says(connect: Connect, server: ModelServer) -> None:
    provider = connect("openai")
    outcomes = []
    for _ in range(3):
        try:
            outcomes.append((await reply(provider, says("[[status 500 times 2]] ok"))).text)
        except ModelFailure as failure:
            outcomes.append(failure.kind)
    assert outcomes == ["overloaded", "overloaded", "ok"]


async def test_it_runs_alone_and_keeps_a_ledger(connect: Connect, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.fakes.model_server", "--ledger", str(ledger)),
        *("--words", "3"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        port = int(await process.stdout.readline())
        provider = connect("openai", base_url=f"http://127.0.0.1:{port}/v1")
        told = await reply(provider, says("remember <<n1>>", "and <<n2>>"))
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()
    assert told.text == "word0 word1 word2 <<n1>> <<n2>>"
    begin, end = map(json.loads, ledger.read_text().splitlines())
    assert begin["user"] == ["remember <<n1>>", "and <<n2>>"]
    assert begin["nonces"] == ["<<n1>>", "<<n2>>"]
    assert (begin["request"], end["request"], end["outcome"]) == (1, 1, "complete")
    assert begin["at"] <= end["at"]
