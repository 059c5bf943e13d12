"""A tool to work with, and what a turn on it has come to."""

from __future__ import annotations

import asyncio

from opencraw.events import Event
from opencraw.tools.registry import Risk, Tool, tool
from tests.fixtures.core import Core, is_whole
from tests.fixtures.script import Script


class Bench:
    """A tool that begins when it is called and ends when a test says so."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()
        self.effects: list[str] = []

    @property
    def tools(self) -> tuple[Tool, ...]:
        @tool(risk=Risk.EFFECT)
        async def work() -> str:
            """Work."""
            self.begun.set()
            await self.may_end.wait()
            self.effects.append("worked")
            return "worked"

        @tool(risk=Risk.EFFECT)
        async def quick() -> str:
            """Work quickly."""
            self.effects.append("quick")
            return "quick"

        return work, quick


def script_of(core: Core) -> Script:
    assert isinstance(core.script, Script)
    return core.script


def shown(core: Core, chat: str = "a") -> list[Event]:
    return [event for where, event in core.shown if where.chat == chat]


async def whole(core: Core) -> None:
    await core.settled()
    await is_whole(core.database)
