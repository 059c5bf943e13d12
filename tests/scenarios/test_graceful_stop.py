"""SIGTERM: running turns finish or are handed over, nothing is lost, the exit code is 0."""

from __future__ import annotations

import logging
import os
import signal
import time

import pytest

from tests.fixtures.daemon import Daemon
from tests.scenarios.at_rest import connected
from tests.scenarios.world import World, postgres_processes, until, until_ready

log = logging.getLogger(__name__)
pytestmark = pytest.mark.timeout(120)

GOING_AWAY = 1012


def grace(seconds: float) -> dict[str, str]:
    return {"OPENCRAW_RUNTIME__SHUTDOWN_GRACE_SECONDS": str(seconds)}


def terminate(daemon: Daemon) -> None:
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGTERM)


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


async def test_what_is_said_during_the_stop_is_taken_and_answered_after_the_start(
    world: World,
) -> None:
    daemon = world.daemon(environ=grace(60))
    await daemon.start()
    tab = await world.tab()
    first = world.say(tab, "[[words 600]] [[delay 0.005]]")
    await tab.drafting(20)
    terminate(daemon)
    await until_ready(daemon, status=503)
    late = world.say(tab)
    await tab.acknowledged(late)
    assert tab.answer(first) is None
    assert await daemon.died() == 0
    assert tab.answer(late) is None
    assert tab.errors == []
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
    await until_ready(daemon, status=503)
    terminate(daemon)
    assert await daemon.died() == 0
    await daemon.start()
    await tab.answered(first)
    await world.all_is_well()


async def test_a_frozen_database_does_not_keep_a_stopping_daemon(embedded_world: World) -> None:
    daemon = embedded_world.daemon(environ=grace(0.2))
    await daemon.start()
    tab = await embedded_world.tab()
    name = embedded_world.say(tab, "[[stall]]")
    await tab.drafting()
    frozen = postgres_processes(daemon)
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert await daemon.stop() == 0
        log.info("stopped in %.1f s", time.monotonic() - began)
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    await daemon.start()
    await tab.answered(name)
    await embedded_world.all_is_well()


async def test_a_defect_ends_the_daemon_with_an_exit_code_that_has_it_started_again(
    world: World,
) -> None:
    daemon = world.daemon()
    await daemon.start()
    tab = await world.tab()
    await tab.answered(world.say(tab))
    async with connected(world.database_url) as database:
        await database.execute("ALTER TABLE node RENAME TO lost")
        assert await daemon.died() == 1
        await database.execute("ALTER TABLE lost RENAME TO node")
    await daemon.start()
    await tab.answered(world.say(tab))
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
