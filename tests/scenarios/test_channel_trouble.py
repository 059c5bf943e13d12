"""A platform that recognises no second copy and has bad days, as its own ledger tells it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fixtures.daemon import Daemon
from tests.fixtures.webchat_client import PATIENCE
from tests.scenarios.platform import Platform, running_platform
from tests.scenarios.world import TOOLS, World, until_ready

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def platform(passable_folder: Path) -> AsyncIterator[Platform]:
    async with running_platform(passable_folder) as running:
        yield running


@pytest.fixture
async def daemon(world: World, platform: Platform) -> Daemon:
    """A daemon on that platform, which is not started yet."""
    return world.daemon(extra=TOOLS + platform.section(send_seconds=0.5))


async def test_messages_are_answered_in_order_and_confirmed(
    world: World, platform: Platform, daemon: Daemon
) -> None:
    await daemon.start()
    await platform.say("a", *[""] * 5)
    await platform.say("b", *[""] * 5)
    damage = await platform.settled(world)
    assert (damage.accepted, damage.most, damage.unknown) == (10, 1, 0)


@pytest.mark.parametrize("fault", ["dropped", "failed-after", "silent", "lost", "failed"])
async def test_an_unknown_outcome_costs_one_marked_copy_at_most(
    world: World, platform: Platform, daemon: Daemon, fault: str
) -> None:
    await daemon.start()
    await platform.say("a", f"{{{{{fault}}}}}", "")
    damage = await platform.settled(world)
    shown = [each for each in platform.account().shown if fault in each.text]
    assert [each.again for each in shown] == [False, True][-damage.most :]
    assert damage.most == (2 if fault in ("dropped", "failed-after", "silent") else 1)


async def test_after_two_unknown_outcomes_it_stops_and_reports(
    world: World, platform: Platform, daemon: Daemon
) -> None:
    await daemon.start()
    await platform.say("a", "{{dropped times 9}}", "")
    damage = await platform.settled(world)
    assert (damage.most, damage.copies, damage.accepted) == (2, 1, 2)
    assert "is dead: outcome unknown 2 times" in daemon.log.read_text()
    await platform.say("b", "{{lost times 9}}", "")
    damage = await platform.settled(world)
    assert (damage.unknown, damage.accepted) == (1, 4)


async def test_a_platform_that_asks_for_patience_delays_one_chat_and_keeps_its_order(
    world: World, platform: Platform, daemon: Daemon
) -> None:
    await daemon.start()
    slow = await platform.say("slow", "{{limited 1.5}}", "", "")
    quick = await platform.say("quick", "", "", "")
    await platform.answered(*quick)
    assert not platform.account().answered & set(slow)
    damage = await platform.settled(world)
    assert (damage.accepted, damage.most) == (6, 1)


async def test_a_message_that_the_platform_never_takes_is_a_dead_letter_and_the_next_goes_on(
    world: World, platform: Platform, daemon: Daemon
) -> None:
    await daemon.start()
    for refusal in ("forbidden", "too-long"):
        await platform.say(refusal, f"{{{{{refusal} times 9}}}}", "")
    damage = await platform.settled(world)
    assert (damage.accepted, damage.unknown, damage.lost) == (4, 2, 0)
    assert platform.ledger.read_text().count('"event":"refused"') == 2


async def test_a_platform_that_is_away_is_waited_for(
    world: World, platform: Platform, daemon: Daemon
) -> None:
    await daemon.start()
    names = await platform.say("a", "{{unavailable times 2}}", "")
    await platform.answered(*names)
    damage = await platform.settled(world)
    assert (damage.most, damage.unknown) == (1, 0)


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize(("point", "copies"), [("before_send", 0), ("deliver_before_ack", 1)])
async def test_a_death_around_a_send_costs_one_marked_copy_and_no_order(
    world: World, platform: Platform, daemon: Daemon, point: str, copies: int, nth: int
) -> None:
    await daemon.start(OPENCRAW_CRASHPOINT=f"{point}:{nth}")
    await platform.say("a", "", "", "")
    assert await daemon.died() == -signal.SIGKILL
    await daemon.start()
    damage = await platform.settled(world)
    assert (damage.accepted, damage.copies, damage.unknown) == (3, copies, 0)
    assert sum(each.again for each in platform.account().shown) == 1


@pytest.mark.parametrize("point", ["accept_before_persist", "persist_before_ack"])
async def test_what_was_not_confirmed_is_offered_again_and_taken_once(
    world: World, platform: Platform, daemon: Daemon, point: str
) -> None:
    await daemon.start(OPENCRAW_CRASHPOINT=f"{point}:2")
    await platform.say("a", "", "", "")
    assert await daemon.died() == -signal.SIGKILL
    assert not platform.account().confirmed
    await daemon.start()
    damage = await platform.settled(world)
    assert (damage.accepted, damage.most) == (3, 1)


async def test_a_platform_that_forgets_what_was_confirmed_changes_nothing(
    world: World, platform: Platform, daemon: Daemon
) -> None:
    await daemon.start()
    await platform.say("a", "", "", "")
    await platform.settled(world)
    calls = len(world.model.ledger.read_text().splitlines())
    await daemon.stop()
    await platform.control(rewind=True, poll_faults=0.3)
    await daemon.start()
    damage = await platform.settled(world)
    assert (damage.accepted, damage.most) == (3, 1)
    assert len(world.model.ledger.read_text().splitlines()) == calls


async def remark(daemon: Daemon, name: str, *, gone: bool = False) -> str:
    """Wait until `/ready` remarks on this, or does so no more; returns what it says."""
    async with asyncio.timeout(PATIENCE):
        while True:
            body = await until_ready(daemon)
            if (name not in body["remarks"]) is gone:
                return str(body["remarks"].get(name, ""))
            await asyncio.sleep(0.05)


async def test_a_channel_that_fails_is_started_again_and_the_others_do_not_notice(
    world: World, platform: Platform, daemon: Daemon
) -> None:
    await daemon.start()
    tab = await world.tab()
    # Twice, so that it is down for long enough to be seen.
    await platform.control(garbage=2)
    await platform.say("a", "", "")
    remarked = await remark(daemon, "channel ledger")
    assert "failed" in remarked
    # Nobody is sent away because of it.
    await until_ready(daemon)
    await tab.answered(world.say(tab))
    assert tab.sockets == 1
    damage = await platform.settled(world)
    assert (damage.accepted, damage.most) == (2, 1)
    await remark(daemon, "channel ledger", gone=True)


async def test_many_lanes_at_once_are_all_answered_in_their_order(
    world: World, platform: Platform, daemon: Daemon
) -> None:
    await daemon.start()
    for number in range(60):
        await platform.say(f"lane{number}", "", "", "")
    damage = await platform.settled(world)
    assert (damage.accepted, damage.most, damage.unknown) == (180, 1, 0)
