"""Messages wait behind a running turn when the daemon is killed: docs/queue.md, in each mode."""

from __future__ import annotations

import pytest

from opencraw.settings import Mode
from tests.fixtures.webchat_client import Tab
from tests.scenarios.at_rest import at_rest, connected
from tests.scenarios.world import World

pytestmark = pytest.mark.timeout(120)


async def killed_with_five_waiting(world: World, mode: Mode) -> tuple[Tab, str, list[str]]:
    """A tab, the message that was being answered, and those that waited; the daemon is back."""
    daemon = world.daemon(mode=mode)
    await daemon.start()
    tab = await world.tab()
    first = world.say(tab, "[[stall]]")
    await tab.drafting()
    five = [world.say(tab) for _ in range(5)]
    await tab.acknowledged(*five)
    await daemon.kill()
    await daemon.start()
    return tab, first, five


def runs(tab: Tab, names: list[str]) -> list[str]:
    """Which turn took each message up."""
    return [said["run_id"] for name in names for said in tab.saids(name)]


async def test_collect_answers_all_five_in_one_turn(world: World) -> None:
    tab, first, five = await killed_with_five_waiting(world, "collect")
    await tab.answered(first, *five)
    assert len(set(runs(tab, five))) == 1
    assert runs(tab, [first])[0] not in runs(tab, five)
    [answer] = tab.replies(runs(tab, five)[0])
    assert all(f"<<{name}>>" in answer["content"] for name in five)
    await world.all_is_well()
    async with connected(world.database_url) as database:
        turns = "SELECT queue_collected_messages FROM turn ORDER BY started_at"
        assert [row[0] for row in await database.fetch(turns)] == [0, 5]


async def test_followup_answers_each_in_a_turn_of_its_own(world: World) -> None:
    tab, first, five = await killed_with_five_waiting(world, "followup")
    await tab.answered(first, *five)
    assert len(set(runs(tab, [first, *five]))) == 6
    replies = [line["run_id"] for line in tab.history() if line["type"] == "message"]
    assert replies == runs(tab, [first, *five])
    await world.all_is_well()


async def test_steer_lets_the_turn_hear_all_five(world: World) -> None:
    tab, first, five = await killed_with_five_waiting(world, "steer")
    await tab.answered(first, *five)
    await world.all_is_well()
    # The turn that goes on hears them before it asks the model again.
    assert len(set(runs(tab, [first, *five]))) == 1
    assert world.model_calls()[-1].names == (first, *five)


async def test_steer_answers_the_newest_of_a_burst_and_shows_the_model_all(world: World) -> None:
    """Nobody could hear them: the daemon was dead before their turn began."""
    daemon = world.daemon(mode="steer")
    await daemon.start(OPENCRAW_CRASHPOINT="persist_before_ack:5")
    tab = await world.tab()
    first = world.say(tab, "[[stall]]")
    await tab.drafting()
    four = [world.say(tab) for _ in range(4)]
    await daemon.died()
    await tab.leave()
    # The turn ends without asking the model again, so the others meet an idle lane.
    async with connected(world.database_url) as database:
        await database.execute("UPDATE turn SET stop_requested = true WHERE state = 'running'")
    await daemon.start()
    await tab.open()
    [answer] = await tab.answered(four[-1])
    assert f"<<{four[0]}>>" in answer["content"]
    assert tab.answer(first) is None
    await world.all_is_well(newest_counts={tab.chat})
    assert set(four) <= set(world.model_calls()[-1].names)
    async with connected(world.database_url) as database:
        found = await database.fetch("SELECT outcome FROM inbox ORDER BY id")
    assert [row[0] for row in found] == ["interrupted", *["superseded"] * 3, "answered"]


async def test_interrupt_answers_the_newest_and_flags_what_it_interrupted(world: World) -> None:
    daemon = world.daemon(mode="interrupt")
    await daemon.start()
    tab = await world.tab()
    slowly = "[[words 300]] [[delay 0.003]]"
    first = world.say(tab, slowly)
    await tab.drafting(10)
    five = [world.say(tab, slowly)]
    [cut_short] = await tab.answered(first)
    assert cut_short["interrupted"]
    assert "word9" in cut_short["content"]
    five += [world.say(tab, slowly) for _ in range(4)]
    await tab.acknowledged(*five)
    await daemon.kill()
    await daemon.start()
    [answer] = await tab.answered(five[-1])
    assert not answer["interrupted"]
    assert f"<<{five[-1]}>>" in answer["content"]
    await world.all_is_well(newest_counts={tab.chat})


async def test_an_interrupting_message_still_interrupts_after_a_death(world: World) -> None:
    """It was on disk, and the turn it should have ended was not yet told."""
    daemon = world.daemon(mode="interrupt")
    await daemon.start(OPENCRAW_CRASHPOINT="persist_before_ack:2")
    tab = await world.tab()
    first = world.say(tab, "[[stall]]")
    await tab.drafting()
    second = world.say(tab)
    await daemon.died()
    await tab.leave()  # so that nobody says it again
    await daemon.start()
    await at_rest(world.database_url)
    await tab.open()
    [answer] = await tab.answered(second)
    assert f"<<{second}>>" in answer["content"]
    assert tab.answer(first) is None
    await world.all_is_well(newest_counts={tab.chat})
    asked = [call.names[-1] for call in world.model_calls()]
    assert asked == [first, second]
