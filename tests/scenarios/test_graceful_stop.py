"""SIGTERM: running turns finish or are handed over, nothing is lost, the exit code is 0."""

from __future__ import annotations

import signal

import pytest

from tests.fixtures.daemon import Daemon
from tests.fixtures.webchat_client import Tab
from tests.scenarios.world import World, until

pytestmark = pytest.mark.timeout(120)

GOING_AWAY = 1012


def grace(seconds: float) -> dict[str, str]:
    return {"OPENCRAW_RUNTIME__SHUTDOWN_GRACE_SECONDS": str(seconds)}


def terminate(daemon: Daemon) -> None:
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGTERM)


async def is_refused(world: World, tab: Tab) -> str:
    """Say things until one is refused because the daemon is stopping; returns its name."""
    while True:
        name = world.say(tab)
        await tab.until(lambda: name in tab.acks or tab.errors, "an ack or a refusal")  # noqa: B023
        if tab.errors:
            [error] = tab.errors
            assert (error["code"], error["retryable"]) == ("SERVICE_UNAVAILABLE", True)
            assert error["client_message_id"] == name
            return name


async def test_a_running_turn_is_finished_and_sent(world: World) -> None:
    daemon = world.daemon(environ=grace(60))
    await daemon.start()
    tab = await world.tab()
    name = world.say(tab, "[[words 300]] [[delay 0.003]]")
    await tab.drafting(20)
    terminate(daemon)
    assert await daemon.died() == 0
    await tab.until(lambda: not tab.connected, "a goodbye")
    assert tab.answer(name) is not None
    assert tab.closed_with[0] == GOING_AWAY
    await daemon.start()
    await world.all_is_well()


async def test_a_long_turn_and_what_waits_are_handed_over(world: World) -> None:
    daemon = world.daemon(environ=grace(0.2))
    await daemon.start()
    tab = await world.tab()
    names = [world.say(tab, "[[stall]]"), world.say(tab), world.say(tab)]
    await tab.drafting()
    await tab.acknowledged(*names)
    assert await daemon.stop() == 0
    await daemon.start()
    answers = await tab.answered(*names)
    assert not any(answer["interrupted"] for answer in answers)
    damage = await world.all_is_well()
    assert damage.unknown == 0


async def test_what_comes_too_late_is_refused_and_said_again(world: World) -> None:
    daemon = world.daemon(environ=grace(60))
    await daemon.start()
    tab = await world.tab()
    first = world.say(tab, "[[words 600]] [[delay 0.005]]")
    await tab.drafting(20)
    terminate(daemon)
    late = await is_refused(world, tab)
    assert await daemon.died() == 0
    assert late not in tab.acks
    await daemon.start()
    await tab.answered(first, late)
    await world.all_is_well()


async def test_a_second_signal_hurries(world: World) -> None:
    daemon = world.daemon(environ=grace(3600))
    await daemon.start()
    tab = await world.tab()
    first = world.say(tab, "[[stall]]")
    await tab.drafting()
    terminate(daemon)
    await is_refused(world, tab)
    terminate(daemon)
    assert await daemon.died() == 0
    await daemon.start()
    await tab.answered(first)
    await world.all_is_well()


async def test_a_tool_with_an_effect_that_is_cut_off_is_not_repeated(world: World) -> None:
    daemon = world.daemon(environ=grace(0.2))
    await daemon.start()
    tab = await world.tab()
    world.say(tab, '[[tool append_line {"line": "once", "seconds": 3600}]]')
    await until(lambda: world.effects()["append_line once"])
    assert await daemon.stop() == 0
    await daemon.start()
    await world.all_is_well()
    assert world.effects()["append_line once"] == 1
