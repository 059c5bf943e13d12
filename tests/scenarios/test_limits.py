"""What the whole daemon does about its limits, as operators and people see it."""

from __future__ import annotations

import signal

import aiohttp
import asyncpg
import pytest

from tests.fixtures.daemon import Daemon, DaemonFactory
from tests.fixtures.webchat_client import Frame, Tab
from tests.scenarios.world import World

PRICES = """\
price_per_million_prompt_tokens = 3.0
price_per_million_completion_tokens = 15.0
max_output_tokens = 1000
"""


async def api(daemon: Daemon, path: str, body: Frame | None = None) -> tuple[int, Frame]:
    """Ask the control plane; returns the status and the body."""
    headers = {"Authorization": f"Bearer {daemon.token}"}
    method = "GET" if body is None else "POST"
    url = f"{daemon.url}/api/v1/os/{path}"
    async with aiohttp.request(method, url, headers=headers, json=body) as response:
        answer: Frame = await response.json()
        return response.status, answer


async def calls(world: World) -> list[tuple[int, bool]]:
    connection = await asyncpg.connect(world.database_url)
    try:
        rows = await connection.fetch("SELECT cost, ended FROM model_call ORDER BY ended, cost")
        [day] = await connection.fetch("SELECT sum(cost)::bigint AS cost FROM spend")
    finally:
        await connection.close()
    assert day["cost"] == sum(row["cost"] for row in rows)
    return [(row["cost"], row["ended"]) for row in rows]


async def test_a_daemon_killed_in_mid_call_keeps_the_estimate_and_enters_a_new_call(
    world: World,
) -> None:
    daemon = world.daemon(
        profile=world.model.profile(more=PRICES), environ={"OPENCRAW_LIMITS__SPEND_PER_DAY": "5"}
    )
    await daemon.start(OPENCRAW_CRASHPOINT="mid_stream:3")
    tab = await world.tab()
    world.say(tab, "[[words 30]]")
    assert await daemon.died() == -signal.SIGKILL
    [(estimate, ended)] = await calls(world)
    assert estimate > 15_000, "the longest answer at least"
    assert not ended
    await daemon.start()
    await world.all_is_well()
    (kept, open_), (cost, closed) = await calls(world)
    assert (kept, open_) == (estimate, False)
    assert closed
    assert 0 < cost < estimate
    _, status = await api(daemon, "status")
    assert status["spend_per_day"] == 5
    assert status["spend_today"] == pytest.approx((kept + cost) / 1e6)


async def test_the_cap_stops_the_daemon_from_asking_and_says_so(world: World) -> None:
    daemon = world.daemon(
        profile=world.model.profile(more=PRICES),
        environ={"OPENCRAW_LIMITS__SPEND_PER_DAY": "0.0001"},
    )
    await daemon.start()
    tab = await world.tab()
    world.say(tab, "[[words 30]]")
    await tab.until(lambda: any(each.get("kind") == "notice" for each in tab.frames), "words")
    [notice] = [each for each in tab.frames if each.get("kind") == "notice"]
    assert "may cost 0.0001 a day" in notice["content"]
    assert world.model_calls() == []


async def test_without_a_cap_the_status_says_so(daemon: Daemon) -> None:
    _, status = await api(daemon, "status")
    assert (status["spend_today"], status["spend_per_day"]) == (None, None)


async def test_who_is_too_fast_is_told_so_and_may_come_back(make_daemon: DaemonFactory) -> None:
    daemon = make_daemon(limits="messages_per_minute = 2")
    await daemon.start()
    async with Tab(daemon, chat="fast") as tab:
        names = [tab.say("/help") for _ in range(3)]
        await tab.until(lambda: tab.refused, "a refusal")
        [(name, error)] = tab.refused.items()
        assert name == names[-1]
        assert error["code"] == "RATE_LIMITED"
        assert "2 messages a minute" in error["message"]
        assert not error["retryable"], "the person decides, the page does not go on by itself"


async def test_where_a_rule_denies_it_nobody_speaks_not_even_the_control_plane(
    make_daemon: DaemonFactory,
) -> None:
    rule = '\n[[queue.send_policy]]\naction = "deny"\nchannel = "webchat"\n'
    daemon = make_daemon(extra=rule)
    await daemon.start()
    status, body = await api(
        daemon, "messages/send", {"channel": "webchat", "recipient": "main", "message": "hello"}
    )
    assert status == 403
    assert body["error"]["code"] == "FORBIDDEN"
    assert "queue.send_policy" in body["error"]["message"]
