"""When a channel is ended, when it is not, and what follows."""

from __future__ import annotations

import asyncio
import math

import pytest

from opencraw.app import hosted as module
from opencraw.contract import Gateway
from tests.app.test_hosted import Radio, on_air, quickly, renewed, state
from tests.fixtures.core import until

__all__ = ["quickly"]


async def test_no_platform_is_called_silent_while_our_own_database_is_away() -> None:
    radio, node = Radio(), renewed()
    async with on_air(radio, node=node) as host:
        await until(state(host)("running"))
        node._held_until = 0.0
        # Whoever waits for the database to take a message asks for no other.
        radio.dead = True
        await until(lambda: radio.pulse.silence > 3 * radio.pulse.patience)
        assert (radio.times, host.problems()) == (1, {})
        node._held_until = math.inf
        await until(state(host)("silent"), "the database is back, the platform is not")


async def test_a_line_that_was_well_for_long_is_started_again_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(module, "RECOVERED_SECONDS", 0.5)
    radio = Radio(patience=0.1)
    radio.dead = True
    async with on_air(radio) as host:
        hosted = host.hosted["radio"]
        await until(lambda: radio.times >= 4, "pauses are long by now")
        radio.dead = False
        await until(state(host)("running"))
        well = asyncio.get_running_loop().time()
        await until(lambda: asyncio.get_running_loop().time() > well + 0.6)
        radio.dead = True
        await until(lambda: hosted.next_attempt is not None)
        assert hosted.next_attempt is not None
        assert (hosted.next_attempt - hosted.since).total_seconds() < 0.2


async def test_a_channel_that_does_not_end_is_left_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "ENDING_SECONDS", 0.05)
    freed = asyncio.Event()

    class Stubborn(Radio):
        async def run(self, gateway: Gateway) -> None:
            try:
                await super().run(gateway)
            finally:
                await freed.wait()

    radio = Stubborn()
    radio.dead = True
    async with on_air(radio):
        await until(lambda: radio.times == 3, "it is started again")
        freed.set()
