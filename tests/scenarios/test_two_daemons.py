"""Two daemons: one too many on a data directory, or two that share a database."""

from __future__ import annotations

import asyncio
import signal

import pytest

from tests.fixtures.daemon import Daemon
from tests.scenarios.world import World, postmaster, until

pytestmark = pytest.mark.timeout(120)


async def test_a_second_daemon_on_the_same_data_refuses_and_the_first_goes_on(
    embedded_world: World,
) -> None:
    first = embedded_world.daemon()
    await first.start()
    assert first.process is not None
    tab = await embedded_world.tab()
    name = embedded_world.say(tab, "[[words 300]] [[delay 0.003]]")
    await tab.drafting()
    server = postmaster(first)
    second = embedded_world.daemon()
    await second.spawn()
    assert await second.died() in (1, 78)
    assert f"Another OpenCraw (process {first.process.pid})" in first.log.read_text()
    await tab.answered(name)
    await embedded_world.all_is_well()
    assert tab.sockets == 1
    assert postmaster(first) == server


async def two(world: World) -> tuple[Daemon, Daemon]:
    one, other = world.daemon("one"), world.daemon("two")
    await asyncio.gather(one.start(), other.start())
    return one, other


async def test_two_daemons_on_one_database_answer_nothing_twice(world: World) -> None:
    one, other = await two(world)
    for number, home in enumerate((one, other) * 4):
        tab = await world.tab(f"chat{number}", home)
        for _ in range(5):
            world.say(tab, "[[words 20]] [[delay 0.002]]")
    damage = await world.all_is_well()
    assert (damage.accepted, damage.unknown) == (40, 0)


async def test_the_turns_of_a_dead_daemon_are_taken_over(world: World) -> None:
    one, other = world.daemon("one"), world.daemon("two")
    await one.start()
    for number in range(3):
        tab = await world.tab(f"chat{number}", one, other)
        world.say(tab, "[[stall]]")
        world.say(tab)
        await tab.drafting()
    await other.start()
    mine = await world.tab("mine", other)
    world.say(mine, "[[words 50]]")
    await one.kill()
    damage = await world.all_is_well()
    assert (damage.accepted, damage.unknown) == (7, 0)


async def test_tabs_at_two_daemons_see_one_conversation(world: World) -> None:
    one, other = await two(world)
    here, there = await world.tab("chat", one), await world.tab("chat", other)
    names = [world.say(here), world.say(there), world.say(here)]
    for tab in (here, there):
        await tab.answered(*names)
    await world.all_is_well()
    assert here.history() == there.history()


async def test_a_daemon_that_slept_through_its_lease_writes_nothing(world: World) -> None:
    one, other = world.daemon("one"), world.daemon("two")
    await one.start()
    sleeper = await world.tab("chat", one)
    name = world.say(sleeper, "[[words 400]] [[delay 0.005]]")
    await sleeper.drafting(3)
    assert one.process is not None
    one.process.send_signal(signal.SIGSTOP)
    try:
        await other.start()
        # It wakes while its successor works: what it finishes now must not count.
        awake = await world.tab("chat", other)
        await awake.drafting(3)
    finally:
        one.process.send_signal(signal.SIGCONT)
    await until(lambda: "the lease of this node is over" in one.log.read_text())
    for tab in (awake, sleeper):
        await tab.answered(name)
    world.say(sleeper)
    await world.all_is_well(paused=True)
    assert one.process.returncode is None
    assert "is not ours any more" not in other.log.read_text()
