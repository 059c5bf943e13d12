"""Half a minute of random deaths."""

from __future__ import annotations

import secrets

import pytest

from tests.scenarios.storm import storm
from tests.scenarios.world import World

pytestmark = pytest.mark.timeout(240)


async def test_a_storm_of_deaths_loses_nothing_and_doubles_nothing(world: World) -> None:
    report = await storm(world, seed=secrets.randbits(32), seconds=25, kills=15)
    assert report.kills >= 15
    assert report.damage.accepted > 100
