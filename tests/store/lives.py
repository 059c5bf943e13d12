"""Scenarios that a server lives through as the user of the tests, and as an ordinary user."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest

from opencraw.store.settings import DatabaseSettings
from tests.fixtures.ordinary_user import become_ordinary, in_a_process

Scenario = Callable[[Path, DatabaseSettings], Coroutine[Any, Any, None]]

Test = TypeVar("Test", bound=Callable[..., None])


class Scenarios(list[Scenario]):
    """What a server may live through, in the order of its file."""

    def add(self, function: Scenario) -> Scenario:
        self.append(function)
        return function


def as_either_user(scenarios: Scenarios) -> Callable[[Test], Test]:
    """Make of a test one for each scenario and each user: that of the tests, an ordinary one."""
    marks = (
        pytest.mark.parametrize(
            "life", scenarios, ids=lambda life: life.__name__.replace("_", " ")
        ),
        pytest.mark.parametrize(
            "ordinary", [False, True], ids=["as this user", "as an ordinary user"]
        ),
        # What that imports, nobody else may be able to read.
        pytest.mark.usefixtures("migrated_template"),
        pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
    )

    def marked(test: Test) -> Test:
        for mark in marks:
            test = mark(test)
        return test

    return marked


def live(life: Scenario, folder: Path, settings: DatabaseSettings, *, ordinary: bool) -> None:
    """Live through a scenario in a process of its own."""

    def alone() -> None:
        if ordinary:
            become_ordinary(folder)
        asyncio.run(life(folder, settings))

    in_a_process(alone)


async def ask(url: str, question: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


def proc(pid: int, name: str) -> Path:
    return Path(f"/proc/{pid}/{name}")


def runs(pid: int) -> bool:
    """False also for a process that has ended and that nobody has waited for."""
    stat = proc(pid, "stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"
