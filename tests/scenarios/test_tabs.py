"""Several tabs on one chat stay in step, whatever becomes of their connections."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.scenarios.world import World

pytestmark = pytest.mark.timeout(120)


async def test_three_tabs_see_one_conversation(world: World) -> None:
    daemon = world.daemon()
    await daemon.start()
    tabs = [await world.tab() for _ in range(3)]
    names = [world.say(tab, "[[words 20]]") for _ in range(4) for tab in tabs]
    for tab in tabs:
        await tab.answered(*names)
    await world.all_is_well()
    assert tabs[0].history() == tabs[1].history() == tabs[2].history()
    assert [draft.text for draft in tabs[0].drafts.values()] == [
        draft.text for draft in tabs[1].drafts.values()
    ]


async def test_connections_that_break_lose_no_line_and_repeat_none(world: World) -> None:
    daemon = world.daemon()
    await daemon.start()
    tabs = [await world.tab() for _ in range(3)]
    dice = random.Random(7)
    names = []
    for _ in range(15):
        names += [world.say(tab, "[[words 30]] [[delay 0.002]]") for tab in tabs[:2]]
        for tab in dice.sample(tabs, 2):
            await tab.until(lambda tab=tab: tab.connected)  # type: ignore[misc]
            tab.cut()
        await asyncio.sleep(0)
        await tabs[2].answered(names[-2])
    for tab in tabs:
        await tab.answered(*names)
    await world.all_is_well()
    assert tabs[0].history() == tabs[1].history() == tabs[2].history()
    assert min(tab.sockets for tab in tabs) > 3


async def test_the_same_message_from_two_tabs_is_one_message(world: World) -> None:
    daemon = world.daemon()
    await daemon.start()
    one, two = await world.tab(), await world.tab()
    name = world.say(one)
    await one.answered(name)
    two.say(one.typed[name], name)
    await two.acknowledged(name)
    assert two.acks[name]["duplicate"]
    assert two.acks[name]["message_id"] == one.acks[name]["message_id"]
    await world.all_is_well()
    assert len(one.history()) == len(two.history()) == 2


async def test_a_message_that_is_offered_again_does_not_interrupt_its_own_answer(
    world: World,
) -> None:
    daemon = world.daemon(mode="interrupt")
    await daemon.start()
    one, two = await world.tab(), await world.tab()
    name = world.say(one, "[[words 300]] [[delay 0.003]]")
    await one.drafting(20)
    two.say(one.typed[name], name)
    await two.acknowledged(name)
    [answer] = await one.answered(name)
    assert not answer["interrupted"]
    await world.all_is_well()


async def test_a_message_that_waits_can_be_taken_back_in_another_tab(world: World) -> None:
    daemon = world.daemon()
    await daemon.start()
    one, two = await world.tab(), await world.tab()
    running = world.say(one, "[[stall]]")
    await one.drafting()
    waiting = one.say("never mind", "withdrawn")
    await one.acknowledged(waiting)
    withdrawn = one.acks[waiting]["message_id"]
    await two.send({"type": "withdraw", "message_id": withdrawn})
    answer = await two.until(
        lambda: next((frame for frame in two.frames if frame["type"] == "withdrawn"), None)
    )
    assert (answer["message_id"], answer["ok"]) == (withdrawn, True)
    await daemon.kill()
    await daemon.start()
    await one.answered(running)
    after = world.say(two)
    await one.answered(after)
    assert not one.saids(waiting)
    assert not any("never mind" in text for call in world.model_calls() for text in call.texts)
