"""What hooks are told of turns."""

from __future__ import annotations

import asyncio

from opencraw.errors import FailureKind, ModelFailure
from opencraw.hooks import Facts, Hooks, Point, hook
from tests.fixtures.core import running, session_of, until
from tests.fixtures.onlookers import Onlooker
from tests.fixtures.script import calls
from tests.worker.bench import whole

STARTED, ENDED = Point.TURN_STARTED, Point.TURN_ENDED


async def test_a_turn_is_told_of_when_it_begins_and_when_it_is_over(database_url: str) -> None:
    onlooker = Onlooker(STARTED, ENDED)
    wanted = calls(("calculate", '{"expression": "6*7"}'))
    async with running(database_url, wanted, "It is 42.", hooks=onlooker.hooks) as core:
        await core.asked("6*7?")
        await until(lambda: onlooker.at(ENDED))
        await whole(core)
        [row] = await core.fetch("SELECT id, model FROM turn")
    turn = {
        "tenant": "default",
        "session_id": str(session_of()),
        "turn_id": str(row["id"]),
        "channel_id": "test",
        "account": "account",
        "chat": "a",
        "thread": "",
        "chat_type": "direct",
        "sender_id": "id of owner",
        "rights": "owner",
        "origin": "channel",
        "attempt": 1,
        "model": row["model"],
    }
    [ended] = onlooker.at(ENDED)
    assert ended.pop("seconds") > 0
    assert onlooker.seen[0] == (STARTED, turn)
    assert ended == {
        **turn,
        "state": "done",
        "failure": None,
        "usage": {"prompt_tokens": 17, "completion_tokens": 8, "cached_tokens": 2},
        "tools": ["calculate"],
        "size": 9,
        "text": "It is 42.",
    }


async def test_a_turn_that_fails_says_why(database_url: str) -> None:
    onlooker = Onlooker(ENDED)
    failure = ModelFailure(FailureKind.BILLING, "no money")
    async with running(database_url, failure, hooks=onlooker.hooks) as core:
        await core.asked("hello")
        await until(lambda: onlooker.at(ENDED))
        await whole(core)
    [ended] = onlooker.at(ENDED)
    assert (ended["state"], ended["failure"]) == ("failed", "billing")


async def test_the_answer_does_not_wait_for_those_who_look_on(database_url: str) -> None:
    begun, over = asyncio.Event(), asyncio.Event()

    @hook(ENDED, timeout_seconds=60.0)
    async def slow(point: Point, facts: Facts) -> None:
        begun.set()
        await over.wait()

    async with running(database_url, hooks=Hooks({"slow": slow})) as core:
        assert (await core.asked("hello")).text == "echo hello"
        await begun.wait()
        over.set()
        await whole(core)


async def test_stop_does_not_wait_for_those_who_look_on(database_url: str) -> None:
    begun = asyncio.Event()

    @hook(STARTED, timeout_seconds=60.0)
    async def endless(point: Point, facts: Facts) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with running(database_url, hooks=Hooks({"endless": endless})) as core:
        await core.say("hello")
        await begun.wait()
        await core.say("/stop")
        await whole(core)
        assert await core.outcomes() == [("hello", "interrupted"), ("/stop", "command")]


async def test_a_turn_goes_on_when_those_who_look_on_fail(database_url: str) -> None:
    failing = Onlooker(*Point, answers=dict.fromkeys(Point, LookupError("gone")),
                       on_failure="continue")  # fmt: skip
    wanted = calls(("calculate", '{"expression": "6*7"}'))
    async with running(database_url, wanted, "It is 42.", hooks=failing.hooks) as core:
        assert (await core.asked("6*7?")).text == "It is 42."
        await until(lambda: failing.at(ENDED))
        await whole(core)
    assert [point for point, _ in failing.seen] == [
        Point.MESSAGE_RECEIVED, STARTED, Point.BEFORE_TOOL_CALL, Point.AFTER_TOOL_CALL,
        *sorted([ENDED, Point.MESSAGE_SENDING], key=[each for each, _ in failing.seen].index),
    ]  # fmt: skip
