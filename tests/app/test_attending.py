"""What a channel does on every node, beside receiving."""

from __future__ import annotations

import asyncio

import pytest

from opencraw.app import hosted as module
from opencraw.contract import Gateway
from opencraw.errors import Unavailable
from tests.app.test_hosted import Radio, on_air, state
from tests.fixtures.core import until


class Lighthouse(Radio):
    """A radio that is also seen, on every node."""

    def __init__(self) -> None:
        super().__init__()
        self.lit = 0
        #: What it raises when it is lit the next times.
        self.failures: list[Exception] = []
        self.out = asyncio.Event()

    async def attend(self, gateway: Gateway) -> None:
        self.lit += 1
        if self.failures:
            raise self.failures.pop(0)
        await self.out.wait()


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(module, "LASTING_SECONDS", 0.2)


async def test_what_a_channel_does_on_every_node_is_started_again_and_it_says_so() -> None:
    house = Lighthouse()
    house.failures = [ConnectionError("no lamp"), Unavailable("no oil", retry_after=3_600)]
    async with on_air(house) as host:
        hosted = host.hosted["radio"]
        await until(lambda: hosted.state == "running" and "no oil" in hosted.detail)
        assert hosted.detail == "on every node: no oil; starting again in 3600 s"
        assert "no oil" in host.problems()["channel radio"]
        assert (house.times, house.lit) == (1, 2)
        # The operator mended it, and asks.
        await hosted.probe()
        await until(lambda: house.lit == 3)
        assert hosted.detail == "on every node: no oil; started again", "it has to last"
        await until(lambda: (hosted.detail, host.problems()) == ("", {}))
        house.out.set()
        await until(lambda: "ended by itself" in hosted.detail)


async def test_what_a_channel_does_on_every_node_goes_on_when_it_receives_no_more() -> None:
    house = Lighthouse()
    house.troubles = [ConnectionError("static")] * 2
    async with on_air(house) as host:
        await until(lambda: house.times == 3)
        await until(state(host)("running"))
        assert house.lit == 1
