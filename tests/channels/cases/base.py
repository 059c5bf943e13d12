"""What every adapter promises."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Sequence
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest

from tests.channels.cases.killed import Killed
from tests.channels.house import House
from tests.channels.platform import Fault, Platform
from tests.fixtures.core import until


def long_text(platform: Platform) -> str:
    """Numbered lines of code between words, for two messages and a half."""
    count = max(int(platform.limit * 2.5) // len("line_1234 = 1234\n"), 40)
    code = "\n".join(f"line_{number} = {number}" for number in range(1, count))
    return f"Look at this:\n\n```python\n{code}\n```\n\nThat was the end."


def lines_in(texts: Sequence[str]) -> list[str]:
    """The numbered lines, in order."""
    return re.findall(r"line_(\d+)", "\n".join(texts))


class Hearing(Killed):
    """How people are heard. `house` is not open yet when a test begins."""

    platform_type: ClassVar[type[Platform]]

    @pytest.fixture
    async def platform(self) -> AsyncIterator[Platform]:
        async with self.platform_type() as platform:
            yield platform

    async def test_a_message_is_answered_where_it_was_written(
        self, platform: Platform, house: House
    ) -> None:
        await house.open()
        await platform.says("[[say Good morning.]]")
        await platform.says("[[say Good evening.]]", chat="b")
        await house.sees("Good morning.")
        await house.sees("Good evening.", chat="b")
        await house.at_rest()
        assert (len(platform.shown("a")), len(platform.shown("b"))) == (1, 1)

    async def test_messages_of_a_chat_are_answered_in_order(
        self, platform: Platform, house: House
    ) -> None:
        await house.open()
        for number in range(5):
            await platform.says(f"[[say Answer {number}.]]")
        await house.sees(*(f"Answer {number}." for number in range(5)))

    async def test_the_same_event_a_hundred_times_at_once_makes_one_turn(
        self, platform: Platform, house: House
    ) -> None:
        await house.open()
        key = await platform.says("[[say Once.]]")
        await platform.says_again(key, 100)
        await house.sees("Once.")
        await platform.says_again(key, 100)
        await platform.says("[[say Twice.]]")
        await house.sees("Once.", "Twice.")
        await house.at_rest()
        assert len(platform.shown()) == 2
        assert await house.count("turn") == 2

    async def test_a_platform_that_forgets_what_was_acknowledged_costs_nothing(
        self, platform: Platform, house: House
    ) -> None:
        await house.open()
        await platform.says("[[say Once.]]")
        await house.sees("Once.")
        await house.at_rest()
        await house.close()
        await platform.rewind()
        await house.open()
        await platform.says("[[say Twice.]]")
        await house.sees("Once.", "Twice.")
        await house.at_rest()
        assert len(platform.shown()) == 2

    async def test_a_gap_in_the_connection_loses_nothing(
        self, platform: Platform, house: House
    ) -> None:
        await house.open()
        await platform.says("[[say Before.]]")
        await house.sees("Before.")
        await platform.disconnect()
        for number in range(3):
            await platform.says(f"[[say Meanwhile {number}.]]")
        await platform.reconnect()
        await platform.says("[[say After.]]")
        await house.sees("Before.", "Meanwhile 0.", "Meanwhile 1.", "Meanwhile 2.", "After.")

    async def test_what_was_said_while_no_daemon_ran_is_answered(
        self, platform: Platform, house: House
    ) -> None:
        await house.open()
        await platform.says("[[say Before.]]")
        await house.sees("Before.")
        await house.close()
        await platform.says("[[say Meanwhile.]]")
        await house.open()
        await house.sees("Before.", "Meanwhile.")

    async def test_an_event_that_nobody_understands_is_put_aside(
        self, platform: Platform, house: House
    ) -> None:
        await house.open()
        await platform.malformed()
        await platform.says("[[say Still here.]]")
        await house.sees("Still here.")
        assert await house.count("quarantined WHERE channel = $1", platform.channel) >= 1

    async def test_our_own_messages_are_not_answered(
        self, platform: Platform, house: House
    ) -> None:
        # Whoever is let in would be answered.
        await house.open(access={"mode": "open"})
        await platform.own_message("[[say I talk to myself.]]")
        await platform.says("[[say Hello.]]")
        await house.sees("Hello.")
        await house.at_rest()
        assert await house.count("turn") == 1

    async def test_a_dead_line_is_noticed_and_opened_again(
        self, platform: Platform, house: House
    ) -> None:
        await house.open()
        await platform.silent()
        await platform.says("[[say At last.]]")
        await house.becomes("silent", "failed")
        await platform.reconnect()
        await house.sees("At last.")
        await house.becomes("running")

    async def test_a_revoked_credential_is_told_with_the_next_step(
        self, platform: Platform, house: House
    ) -> None:
        await house.open()
        await platform.revoke()
        await house.becomes("refused")
        assert len(str((await house.channel())["detail"])) > 20

    async def test_closing_leaves_no_task_behind(self, platform: Platform, house: House) -> None:
        await house.open()
        await platform.says("[[say Hello.]]")
        await house.sees("Hello.")
        await house.close()
        before = _our_tasks()
        await house.open()
        await platform.says("[[say Hello again.]]")
        await house.sees("Hello again.")
        await house.close()
        await until(lambda: _our_tasks() <= before, f"{_our_tasks() - before}")


class Asking:
    """What people say has to be asked for."""

    async def test_a_pause_that_is_asked_of_whoever_listens_is_kept_and_told(
        self, platform: Platform, house: House
    ) -> None:
        await house.open()
        await platform.wants_peace(60)
        await house.becomes("failed")
        next_attempt = datetime.fromisoformat((await house.channel())["next_attempt"])
        assert next_attempt - datetime.now(UTC) > timedelta(seconds=50)


class Conformance(Hearing):
    """The part of the suite that is for all. An adapter that hears in two ways, and speaks in one,
    takes `Hearing` alone for the second."""

    async def test_a_platform_that_asks_for_patience_delays_one_chat_and_keeps_its_order(
        self, platform: Platform, house: House
    ) -> None:
        await house.open()
        for shape in platform.shapes:
            platform.fail_next(Fault.RATE_LIMITED, chat="a", retry_after=1.0, shape=shape)
            await platform.says(f"[[say First {shape}.]]")
            await platform.says(f"[[say Second {shape}.]]")
            await platform.says(f"[[say Quick {shape}.]]", chat="b")
            await house.sees(f"Quick {shape}.", chat="b")
            assert not any(f"First {shape}." in text for text in platform.shown("a"))
            await house.sees(f"First {shape}.", f"Second {shape}.")

    async def test_a_message_that_will_never_be_taken_is_a_dead_letter_and_the_next_goes_on(
        self, platform: Platform, house: House
    ) -> None:
        await house.open()
        platform.fail_next(Fault.REFUSED)
        dead = "outbox WHERE state = 'dead' AND attempts = 1"
        await platform.says("[[say Never.]]")
        # Two mails are two conversations: the refusal is meant for the first.
        await until(lambda: is_one(house.count(dead)), "a dead letter")
        await platform.says("[[say Next.]]")
        await house.sees("Next.")
        await house.at_rest()
        assert not any("Never." in text for text in platform.shown())
        assert await house.count(dead) == 1

    async def test_a_long_answer_arrives_whole_and_in_order(
        self, platform: Platform, house: House
    ) -> None:
        await house.open()
        await house.answers(long_text(platform))
        await platform.says("Tell me more.")
        await house.sees("the end.")
        await house.at_rest()
        assert lines_in(platform.shown()) == lines_in([long_text(platform)])

    async def test_a_platform_that_broke_gets_the_message_later(
        self, platform: Platform, house: House
    ) -> None:
        await house.open()
        platform.fail_next(Fault.SERVER_ERROR, times=2)
        await platform.says("[[say Later.]]")
        await platform.says("[[say Next.]]")
        await house.sees("Later.", "Next.")


async def is_one(count: Awaitable[int]) -> bool:
    return await count == 1


def _our_tasks() -> set[asyncio.Task[object]]:
    """All tasks but those of a fake: a platform goes on calling a daemon that is not there."""
    return {
        task
        for task in asyncio.all_tasks()
        if "/fakes/" not in getattr(getattr(task.get_coro(), "cr_code", None), "co_filename", "")
    }
