"""What is done beside answering: by a few hands, for a while, and at the latest next time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

MOST_WAITING = 100
_HANDS = 4
_SECONDS = 120.0


class Errands:
    """Things to do that nobody waits for. What fails is logged; what is too much is left undone."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[tuple[str, Callable[[], Awaitable[None]]]] = asyncio.Queue(
            MOST_WAITING
        )

    def add(self, what: str, errand: Callable[[], Awaitable[None]]) -> None:
        """Have this done soon."""
        try:
            self._waiting.put_nowait((what, errand))
        except asyncio.QueueFull:
            log.warning("%s: too much is to be done already; this was left undone", what)

    async def run(self) -> None:
        """Do what is to be done, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_HANDS):
                tasks.create_task(self._work())

    async def _work(self) -> None:
        while True:
            what, errand = await self._waiting.get()
            try:
                async with asyncio.timeout(_SECONDS):
                    await errand()
            except Exception:
                # Nobody waits for it, and the next one is not to blame.
                log.exception("%s failed", what)
