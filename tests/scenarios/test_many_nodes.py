"""Two daemons on one database, with Redis between them and without."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable
from contextlib import suppress

import aiohttp
import pytest

from opencraw.settings import Mode
from tests.fixtures.daemon import Daemon
from tests.fixtures.redis import RedisServer
from tests.fixtures.webchat_client import PATIENCE, Frame, Tab
from tests.scenarios.at_rest import connected
from tests.scenarios.world import World, until

log = logging.getLogger(__name__)
pytestmark = pytest.mark.timeout(120)

#: An hour of work that only somebody else can end.
AN_HOUR = '[[say I begin.]] [[text-too]] [[tool append_line {"line": "once", "seconds": 3600}]]'


async def status(daemon: Daemon) -> Frame:
    """What the daemon tells an operator."""
    headers = {"Authorization": f"Bearer {daemon.token}"}
    url = f"{daemon.url}/api/v1/os/status"
    async with aiohttp.request("GET", url, headers=headers) as response:
        body: Frame = await response.json()
        return body


async def until_it_says(daemon: Daemon, what: Callable[[Frame], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not what(await status(daemon)):
            await asyncio.sleep(0.02)


async def know_each_other(*daemons: Daemon) -> None:
    """Wait until each counts all others, and hears them if there is a Redis."""
    for daemon in daemons:
        await until_it_says(
            daemon,
            lambda said: (
                said["node"]["others"] == len(daemons) - 1 and said.get("redis", {"ok": True})["ok"]
            ),
        )


@pytest.fixture(params=["redis", "polling"])
def url(request: pytest.FixtureRequest) -> str:
    """The address of a Redis, or nothing."""
    if request.param == "polling":
        return ""
    server: RedisServer = request.getfixturevalue("redis_server")
    return server.url


async def two(world: World, url: str, mode: Mode = "followup", **more: str) -> list[Daemon]:
    environ = {"OPENCRAW_REDIS__URL": url, **more}
    daemons = [world.daemon(name, mode=mode, environ=environ) for name in ("one", "two")]
    await asyncio.gather(*(daemon.start() for daemon in daemons))
    await know_each_other(*daemons)
    return daemons


async def states(world: World) -> list[str]:
    async with connected(world.database_url) as database:
        rows = await database.fetch("SELECT state FROM turn ORDER BY started_at")
        return [row["state"] for row in rows]


async def at_work(world: World) -> Daemon:
    """The daemon that has the turn: any of them may have been the first to take it."""
    async with connected(world.database_url) as database:
        pid = await database.fetchval(
            "SELECT pid FROM turn JOIN node ON node.id = turn.owner WHERE state = 'running'"
        )
    [found] = [each for each in world.daemons if each.process and each.process.pid == pid]
    return found


async def test_deltas_and_lines_reach_sockets_of_the_other_node(
    world: World, redis_server: RedisServer
) -> None:
    one, other = await two(world, redis_server.url)
    here, there = await world.tab("chat", one), await world.tab("chat", other)
    name = world.say(here, "[[words 400]] [[delay 0.005]]")
    drafts = [await tab.drafting(20) for tab in (here, there)]
    assert not any(draft.torn for draft in drafts)
    await there.answered(name)
    await world.all_is_well()
    run = there.saids(name)[0]["run_id"]
    for tab in (here, there):
        assert tab.drafts[run].text.strip() == tab.answer(name)["content"].strip()  # type: ignore[index]


async def test_a_socket_that_opens_at_the_other_node_gets_the_whole_draft(
    world: World, redis_server: RedisServer
) -> None:
    one, other = await two(world, redis_server.url)
    here = await world.tab("chat", one)
    name = world.say(here, "[[stall]]")
    said = await here.drafting()
    there = await world.tab("chat", other)
    seen = await there.drafting()
    assert not seen.torn
    assert seen.text == said.text
    here.say("/stop", "stop")
    await there.answered(name)
    await world.all_is_well()


async def test_a_turn_is_stopped_from_the_other_node(world: World, url: str) -> None:
    one, other = await two(world, url)
    here, there = await world.tab("chat", one), await world.tab("chat", other)
    name = world.say(here, AN_HOUR)
    await until(lambda: world.effects()["append_line once"])
    there.say("/stop", "stop")
    [answer] = await here.answered(name)
    assert answer["interrupted"]
    await there.answered(name, world.say(there))
    await world.all_is_well()
    assert await states(world) == ["interrupted", "done"]


async def test_a_turn_is_steered_from_the_other_node(world: World, url: str) -> None:
    one, other = await two(world, url, "steer")
    here, there = await world.tab("chat", one), await world.tab("chat", other)
    looking = '[[tool look_slowly {"line": "a", "seconds": 3}]]'
    first = world.say(here, looking)
    await until(lambda: world.effects()["look_slowly a"])
    second = world.say(there)
    await here.answered(first, second)
    await world.all_is_well()
    assert here.saids(first)[0]["run_id"] == here.saids(second)[0]["run_id"]
    assert world.model_calls()[-1].names == (first, second)


async def test_the_turn_of_a_killed_node_goes_on_at_the_other(world: World, url: str) -> None:
    one, other = await two(world, url)
    tab = await world.tab("chat", one, other)
    name = world.say(tab, "[[stall]]")
    await until(world.model_calls)
    killed = time.time()
    await (await at_work(world)).kill()
    await until(lambda: len(world.model_calls()) == 2)
    taken_up = world.model_calls()[-1].began
    log.info("taken up after %.1f s (%s)", taken_up - killed, "redis" if url else "polling")
    await tab.answered(name)
    await world.all_is_well()


async def test_a_node_that_sleeps_through_its_lease_overlaps_with_nobody(
    world: World, url: str
) -> None:
    one, other = await two(world, url)
    tab = await world.tab("chat", one, other)
    name = world.say(tab, "[[words 300]] [[delay 0.005]]")
    later = world.say(tab)
    await until(world.model_calls)
    asleep = (await at_work(world)).process
    assert asleep is not None
    asleep.send_signal(signal.SIGSTOP)
    # Whoever looks at a page that stands still loads it again.
    tab.cut()
    try:
        # The model has said all when the successor asks again; who sleeps has not heard it.
        await until(lambda: len(world.model_calls()) == 2)
    finally:
        asleep.send_signal(signal.SIGCONT)
    await tab.answered(name, later)
    await world.all_is_well()
    assert asleep.returncode is None


async def test_redis_may_die_be_erased_and_come_back(
    world: World, redis_server: RedisServer
) -> None:
    one, other = await two(world, redis_server.url)
    tabs = [await world.tab(f"chat{n}", home) for n, home in enumerate((one, other) * 2)]

    def speak() -> None:
        for tab in tabs:
            world.say(tab, "[[words 100]] [[delay 0.004]]")

    speak()
    await tabs[0].drafting()
    await redis_server.kill()
    speak()
    await until_it_says(one, lambda said: not said["redis"]["ok"])
    async with aiohttp.request("GET", f"{one.url}/ready") as response:
        assert response.status == 200, "nothing durable depends on Redis"
    speak()
    await redis_server.start()
    await know_each_other(one, other)
    speak()
    await redis_server.ask("FLUSHALL")
    speak()
    damage = await world.all_is_well()
    assert (damage.accepted, damage.unknown) == (20, 0)


async def test_all_nodes_together_count_what_a_sender_sends(
    world: World, redis_server: RedisServer
) -> None:
    one, other = await two(world, redis_server.url, OPENCRAW_LIMITS__MESSAGES_PER_MINUTE="3")
    here, there = await world.tab("chat", one), await world.tab("chat", other)
    await there.answered(world.say(here), world.say(here))
    await there.answered(world.say(there))
    there.say("one too many", "refused")
    await there.until(lambda: [each["code"] for each in there.errors] == ["RATE_LIMITED"])
    await world.all_is_well()


async def test_a_rolling_restart_refuses_and_loses_nothing(world: World, url: str) -> None:
    daemons = await two(
        world,
        url,
        OPENCRAW_RUNTIME__SHUTDOWN_GRACE_SECONDS="0.5",
        OPENCRAW_QUEUE__CAP="1000",
    )
    one, other = daemons
    homes = ((one, other), (other, one)) * 2
    tabs = [await world.tab(f"chat{n}", *places) for n, places in enumerate(homes)]
    speaking = asyncio.create_task(_speak_on(world, tabs))
    for daemon in daemons:
        await asyncio.gather(*(tab.until(lambda tab=tab: tab.connected) for tab in tabs))  # type: ignore[misc]
        assert await daemon.stop() == 0
        await daemon.start()
        await know_each_other(*daemons)
    speaking.cancel()
    with suppress(asyncio.CancelledError):
        await speaking
    damage = await world.all_is_well()
    assert damage.unknown == 0
    assert [tab.errors for tab in tabs] == [[]] * len(tabs)
    log.info("%d messages", damage.accepted)


async def _speak_on(world: World, tabs: list[Tab]) -> None:
    """Each tab says the next thing when the last was taken, until cancelled."""
    while True:
        for tab in tabs:
            name = world.say(tab, "[[words 10]] [[delay 0.002]]")
            await tab.acknowledged(name)
