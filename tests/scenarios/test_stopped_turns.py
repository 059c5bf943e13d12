"""A person ends a turn, and the daemon dies before, while or after it hears of that."""

from __future__ import annotations

import signal

import pytest

from tests.scenarios.at_rest import connected
from tests.scenarios.world import World, until

pytestmark = pytest.mark.timeout(120)

#: A step that says something beside its call; the tool would run for an hour.
BEGUN = '[[say I begin.]] [[text-too]] [[tool append_line {"line": "once", "seconds": 3600}]]'


async def states(world: World) -> list[str]:
    async with connected(world.database_url) as database:
        return [
            row[0] for row in await database.fetch("SELECT state FROM turn ORDER BY started_at")
        ]


async def test_a_stop_outlives_the_process_that_should_have_heard_it(world: World) -> None:
    daemon = world.daemon()
    await daemon.start(OPENCRAW_CRASHPOINT="persist_before_ack:2")
    tab = await world.tab()
    name = world.say(tab, BEGUN)
    await until(lambda: world.effects()["append_line once"])
    tab.say("/stop", "stop")
    assert await daemon.died() == -signal.SIGKILL
    await daemon.start()
    [answer] = await tab.answered(name)
    assert answer["interrupted"]
    assert answer["content"] == "I begin."
    assert answer["tools"] == ["append_line"]
    tab.acks.setdefault("stop", {})
    [after] = await tab.answered(world.say(tab))
    assert after["kind"] == "reply"
    await tab.until(lambda: not tab.waiting)
    assert await states(world) == ["interrupted", "done"]
    assert world.effects()["append_line once"] == 1


async def test_what_was_said_between_two_steps_is_kept(world: World) -> None:
    daemon = world.daemon()
    await daemon.start()
    tab = await world.tab()
    first_step = '[[say I begin.]] [[text-too]] [[tool calculate {"expression": "6*7"}]]'
    name = world.say(tab, f"{first_step} [[next]] [[silent]]")
    await until(lambda: len(world.model_calls()) == 2)
    await tab.send({"type": "stop"})
    [answer] = await tab.answered(name)
    assert answer["interrupted"]
    assert answer["content"] == "I begin."
    [after] = await tab.answered(world.say(tab))
    assert not after["interrupted"]
    assert await states(world) == ["interrupted", "done"]
