"""The daemon dies at every named moment of a turn, and nobody notices but by the delay."""

from __future__ import annotations

import signal

import pytest

from opencraw.worker.running import MOST_DEATHS
from tests.fixtures.ledgers import UNCERTAIN
from tests.fixtures.webchat_client import Tab
from tests.scenarios.world import World

pytestmark = pytest.mark.timeout(120)

#: In the order in which a message meets them. Which of them a killed daemon passes on its way to
#: recovery is another story, below.
IN_A_TURN = (
    "accept_before_persist",
    "persist_before_ack",
    "claimed_before_run",
    "before_llm",
    "mid_stream",
    "tool_started",
    "tool_done",
    "llm_done_before_commit",
    "commit_before_deliver",
    "before_send",
    "deliver_before_ack",
)


def talk(world: World, talker: Tab, reader: Tab, actor: Tab) -> None:
    """Messages that together pass every point more than once."""
    world.say(talker, "[[words 30]]")
    world.say(actor, f'[[tool append_line {{"line": "{world.prefix}-1"}}]]')
    world.say(reader, '[[tool look_slowly {"line": "x"}]]')
    world.say(actor, f'[[tool append_line {{"line": "{world.prefix}-2"}}]]')
    world.say(talker)
    world.say(reader, '[[tool calculate {"expression": "6*7"}]]')


@pytest.mark.parametrize("nth", [1, 3])
@pytest.mark.parametrize("name", IN_A_TURN)
async def test_nothing_is_lost_or_doubled_when_the_daemon_is_killed_there(
    world: World, name: str, nth: int
) -> None:
    daemon = world.daemon()
    await daemon.start(OPENCRAW_CRASHPOINT=f"{name}:{nth}")
    tabs = [await world.tab(chat) for chat in ("talk", "read", "act")]
    talk(world, *tabs)
    assert await daemon.died() == -signal.SIGKILL
    await daemon.start()
    damage = await world.all_is_well()
    assert damage.accepted == 6
    assert damage.unknown == 0


@pytest.mark.parametrize(("point", "times"), [("tool_started", 0), ("tool_done", 1)])
async def test_an_effect_is_never_repeated_and_the_model_is_told_why(
    world: World, point: str, times: int
) -> None:
    daemon = world.daemon()
    await daemon.start(OPENCRAW_CRASHPOINT=point)
    tab = await world.tab()
    name = world.say(tab, '[[tool append_line {"line": "once"}]]')
    assert await daemon.died() == -signal.SIGKILL
    await daemon.start()
    [answer] = await tab.answered(name)
    assert UNCERTAIN in answer["content"]
    await world.all_is_well()
    assert world.effects()["append_line once"] == times


async def test_what_only_looks_may_look_again(world: World) -> None:
    daemon = world.daemon()
    await daemon.start(OPENCRAW_CRASHPOINT="tool_done")
    tab = await world.tab()
    name = world.say(tab, '[[tool look_slowly {"line": "x"}]]')
    assert await daemon.died() == -signal.SIGKILL
    await daemon.start()
    [answer] = await tab.answered(name)
    assert "(saw x)" in answer["content"]
    await world.all_is_well()
    assert world.effects()["look_slowly x"] == 2


@pytest.mark.parametrize("nth", [1, 2, 3])
async def test_a_recovery_that_is_killed_is_recovered_from(world: World, nth: int) -> None:
    """The first step is taking the place of the dead, the others are taking their turns over."""
    daemon = world.daemon()
    await daemon.start()
    tabs = [await world.tab(chat) for chat in ("a", "b", "c")]
    for tab in tabs:
        world.say(tab, "[[stall]]")
        world.say(tab)
    for tab in tabs:
        await tab.drafting()
    await daemon.kill()
    await daemon.spawn(OPENCRAW_CRASHPOINT=f"recovery_step:{nth}")
    assert await daemon.died() == -signal.SIGKILL
    await daemon.start()
    damage = await world.all_is_well()
    assert (damage.accepted, damage.unknown) == (6, 0)


async def test_a_daemon_that_is_killed_at_every_start_recovers_at_the_first_that_is_spared(
    world: World,
) -> None:
    daemon = world.daemon()
    await daemon.start()
    tabs = [await world.tab(chat) for chat in ("a", "b", "c")]
    for tab in tabs:
        world.say(tab, "[[stall]]")
        world.say(tab)
    for tab in tabs:
        await tab.drafting()
    await daemon.kill()
    for number in range(6):
        # In turn: before anything is taken over, and when one turn is.
        await daemon.spawn(OPENCRAW_CRASHPOINT=f"recovery_step:{1 + number % 2}")
        assert await daemon.died() == -signal.SIGKILL
    await daemon.start()
    damage = await world.all_is_well()
    assert (damage.accepted, damage.unknown) == (6, 0)


async def test_a_turn_that_dies_every_time_is_given_up_in_words(world: World) -> None:
    daemon = world.daemon()
    await daemon.start(OPENCRAW_CRASHPOINT="mid_stream")
    tab = await world.tab()
    deadly, next_one = world.say(tab), world.say(tab)
    assert await daemon.died() == -signal.SIGKILL
    for _ in range(MOST_DEATHS - 1):
        await daemon.spawn(OPENCRAW_CRASHPOINT="mid_stream")
        assert await daemon.died() == -signal.SIGKILL
    await daemon.start()
    given_up, answer = await tab.answered(deadly, next_one)
    assert given_up["kind"] == "notice"
    assert f"broke off {MOST_DEATHS} times" in given_up["content"]
    assert answer["kind"] == "reply"
    damage = await world.all_is_well()
    assert damage.unknown == 1
