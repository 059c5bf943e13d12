"""Random disasters for a short while; `make soak` has the long ones. What a storm did, and its
seed, stand in its error."""

from __future__ import annotations

import secrets

import pytest

from tests.scenarios.storm import crash_the_database, do_both, storm
from tests.scenarios.world import World

pytestmark = pytest.mark.timeout(240)


async def test_a_storm_of_deaths_loses_nothing_and_doubles_nothing(world: World) -> None:
    weather = await storm(world, seed=secrets.randbits(32), seconds=14, kills=9)
    assert weather.kills >= 9
    assert weather.damage.accepted > 50


async def test_a_storm_of_database_crashes_strands_nothing(embedded_world: World) -> None:
    """The daemon lives all the time: nobody else would take up what it lets fall."""
    weather = await storm(
        embedded_world, crash_the_database, seed=secrets.randbits(32), seconds=8, kills=4
    )
    assert weather.damage.accepted > 50
    assert weather.damage.unknown == 0
    assert len(weather.starts) == 1


async def test_a_storm_of_both_is_no_worse(embedded_world: World) -> None:
    weather = await storm(embedded_world, do_both, seed=secrets.randbits(32), seconds=8, kills=5)
    assert weather.damage.accepted > 50
