"""The daemon is killed while it answers. The answer comes once, to every tab."""

from __future__ import annotations

import pytest

from tests.fixtures.daemon import Daemon
from tests.fixtures.webchat_client import Tab
from tests.scenarios.world import World

pytestmark = pytest.mark.timeout(120)

LONG = "[[words 200]] [[delay 0.003]]"


async def kill_in_the_middle(daemon: Daemon, tab: Tab) -> None:
    await tab.drafting(40)
    await daemon.kill()


async def test_the_answer_comes_once_and_replaces_the_draft(world: World) -> None:
    daemon = world.daemon()
    await daemon.start()
    tab = await world.tab()
    name = world.say(tab, LONG)
    await kill_in_the_middle(daemon, tab)
    [draft] = tab.drafts.values()
    had = draft.text
    await daemon.start()
    await tab.until(lambda: draft.attempt == 2, "a second attempt")
    assert len(draft.text) < len(had) or draft.text.startswith(had)
    [answer] = await tab.answered(name)
    assert draft.text == answer["content"]
    assert answer["content"].split()[:3] == ["word0", "word1", "word2"]
    assert answer["content"].count("word199") == 1
    await world.all_is_well()


async def test_two_tabs_see_the_same(world: World) -> None:
    daemon = world.daemon()
    await daemon.start()
    one, two = await world.tab(), await world.tab()
    first, second = world.say(one, LONG), world.say(two, LONG)
    await kill_in_the_middle(daemon, two)
    await daemon.start()
    for tab in (one, two):
        await tab.answered(first, second)
    await world.all_is_well()
    assert one.history() == two.history()


async def test_a_tab_that_was_away_is_given_what_it_missed(world: World) -> None:
    daemon = world.daemon()
    await daemon.start()
    here, away = await world.tab(), await world.tab()
    before = world.say(away)
    for tab in (here, away):
        await tab.answered(before)
    await away.leave()
    name = world.say(here, LONG)
    await kill_in_the_middle(daemon, here)
    await daemon.start()
    await here.answered(name)
    await away.open()
    await away.answered(name)
    await world.all_is_well()
    assert here.history() == away.history()


async def test_a_tab_that_comes_back_in_the_middle_sees_the_draft(world: World) -> None:
    daemon = world.daemon()
    await daemon.start()
    here, away = await world.tab(), await world.tab()
    name = world.say(here, "[[words 40]] [[delay 0.005]] [[stall]]")
    await here.drafting(15)
    await away.leave()
    await away.open()
    [draft] = away.drafts.values()
    assert "word9" in draft.text
    await daemon.kill()
    await daemon.start()
    await away.answered(name)
    await world.all_is_well()


async def test_a_reloaded_page_shows_the_history(world: World) -> None:
    daemon = world.daemon()
    await daemon.start()
    tab = await world.tab()
    names = [world.say(tab, LONG), world.say(tab)]
    await kill_in_the_middle(daemon, tab)
    await daemon.start()
    await tab.answered(*names)
    reloaded = await world.tab()
    await reloaded.answered(*names)
    assert reloaded.history() == tab.history()
    assert [line["type"] for line in tab.history()] == ["said", "message"] * 2
    await world.all_is_well()


async def test_three_deaths_of_one_answer_make_one_answer(world: World) -> None:
    daemon = world.daemon()
    await daemon.start()
    tab = await world.tab()
    name = world.say(tab, LONG)
    for attempt in (1, 2, 3):
        await tab.until(
            lambda attempt=attempt: any(  # type: ignore[misc]
                draft.attempt == attempt and draft.text.count("word") > 20
                for draft in tab.drafts.values()
            ),
            f"attempt {attempt}",
        )
        await daemon.kill()
        await daemon.start()
    [answer] = await tab.answered(name)
    assert answer["kind"] == "reply"
    damage = await world.all_is_well()
    assert damage.unknown == 0
