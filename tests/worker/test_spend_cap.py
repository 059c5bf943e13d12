"""A day's money stops the call that might exceed it, before it is made."""

from __future__ import annotations

import pytest

from opencraw.errors import FailureKind, ModelFailure
from opencraw.limits.tariff import tokens_of
from tests.fixtures.core import TARIFF, Core, running, session_of, until
from tests.fixtures.script import Held, calls
from tests.worker.bench import Bench, script_of, whole


async def spent(core: Core) -> int:
    [row] = await core.fetch("SELECT coalesce(sum(cost), 0)::bigint AS cost FROM spend")
    return int(row["cost"])


async def model_calls(core: Core) -> list[tuple[int, bool]]:
    rows = await core.fetch("SELECT cost, ended FROM model_call ORDER BY cost, ended")
    return [(row["cost"], row["ended"]) for row in rows]


async def test_a_turn_costs_what_its_calls_did_cost(database_url: str) -> None:
    bench = Bench()
    async with running(database_url, calls("quick"), tools=bench.tools, spend_cap=10_000) as core:
        await core.asked("hello")
        await whole(core)
        assert await model_calls(core) == [(7 + 3, True), (10 + 5, True)]
        assert await spent(core) == 25
        usage = (await core.asked("/usage")).text
        assert "Spent today (UTC), in all conversations: 0 of 0.01." in usage


async def test_the_turn_that_might_exceed_the_cap_ends_with_words_and_without_a_call(
    database_url: str,
) -> None:
    async with running(database_url, spend_cap=1_000) as core:
        line = await core.asked("x " * 2_000)
        assert line.kind == "notice"
        for words in ("may cost 0.001 a day", "00:00 UTC", "limits.spend_per_day"):
            assert words in line.text
        assert script_of(core).prompts == []
        assert await model_calls(core) == []
        [turn] = await core.fetch("SELECT state, failure FROM turn")
        assert turn["state"] == "failed"
        assert turn["failure"].startswith("spend_cap: ")
        await core.asked("/new")
        assert (await core.asked("smaller")).text == "echo smaller", "what fits is still asked"
        await whole(core)


async def test_money_that_runs_out_between_two_steps_leaves_a_valid_history(
    database_url: str,
) -> None:
    bench = Bench()
    async with running(
        database_url,
        calls(("quick", "{}"), text="word " * 1_000),
        tools=bench.tools,
        spend_cap=1_000,
    ) as core:
        line = await core.asked("again")
        assert line.kind == "notice"
        assert "may cost" in line.text
        assert bench.effects == ["quick"]
        assert len(script_of(core).prompts) == 1
        await whole(core)


async def test_each_try_is_counted(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opencraw.runtime.retries.FIRST_PAUSE", 0.001)
    broken = ModelFailure(FailureKind.UNREACHABLE, "reset")
    async with running(database_url, broken, broken, spend_cap=100_000) as core:
        assert (await core.asked("hello")).text == "echo hello"
        most = TARIFF.most(script_of(core).prompts[0])
        assert await model_calls(core) == [(15, True), (most, False), (most, False)]
        assert await spent(core) == 2 * most + 15
        await whole(core)


async def test_a_call_that_was_stopped_keeps_its_estimate(database_url: str) -> None:
    held = Held("Well, ")
    async with running(database_url, held, spend_cap=100_000) as core:
        await core.say("hello")
        await held.reached.wait()
        most = TARIFF.most(script_of(core).prompts[0])
        assert await model_calls(core) == [(most, False)], "on record before the answer came"
        await core.say("/stop")
        await core.delivered(2)
        await whole(core)
        assert await spent(core) == most


async def test_a_turn_that_is_taken_over_enters_a_call_of_its_own(database_url: str) -> None:
    held = Held("Well, ")
    async with running(database_url, held, spend_cap=100_000) as first:
        await first.say("hello")
        await held.reached.wait()
        most = TARIFF.most(script_of(first).prompts[0])
    async with running(database_url, spend_cap=100_000) as core:
        await core.delivered(1)
        await whole(core)
        assert await model_calls(core) == [(15, True), (most, False)]


async def test_many_turns_at_once_stay_within_the_cap(database_url: str) -> None:
    async with running(database_url, max_concurrency=20, spend_cap=2_000) as core:
        for number in range(40):
            await core.say("hello", f"chat {number}")
        await core.settled()
        counts = await core.fetch("SELECT state, count(*) AS n FROM turn GROUP BY state")
        states = {row["state"]: row["n"] for row in counts}
        assert states["done"] > 2, "some are answered"
        assert await spent(core) <= 2_000
        assert len(script_of(core).prompts) == states["done"]
        await whole(core)


async def test_without_a_cap_nothing_is_counted(database_url: str) -> None:
    async with running(database_url) as core:
        await core.asked("hello")
        assert await model_calls(core) == []
        assert await core.fetch("SELECT FROM spend") == []
        assert "Spent" not in (await core.asked("/usage")).text


async def test_the_estimate_is_of_everything_that_is_sent(database_url: str) -> None:
    async with running(database_url, Held(), spend_cap=100_000) as core:
        await core.say("hello")
        await until(lambda: script_of(core).prompts)
        prompt = script_of(core).prompts[0]
        assert prompt.system
        assert prompt.tools
        assert await spent(core) == tokens_of(prompt) + TARIFF.max_output_tokens
        await core.say("/stop")
        await core.settled()
        assert (await core.sessions.session(session_of())) is not None
