"""What happened, in order within each of Discord's channels, the channels side by side."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

Work = Callable[[], Awaitable[None]]


class Queues:
    """Bounded: what finds no room is for the caller to remember in fewer words."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting = 0
        self._queues: dict[str, deque[Work]] = {}
        self._begun: asyncio.Queue[str] = asyncio.Queue()

    def put(self, name: str, work: Work, *, however_full: bool = False) -> bool:
        """Have `work` done behind all that waits under this name. False when there is no room."""
        if self._waiting >= self._most and not however_full:
            return False
        self._waiting += 1
        queue = self._queues.get(name)
        if queue is not None:
            queue.append(work)
        else:
            self._queues[name] = deque([work])
            self._begun.put_nowait(name)
        return True

    async def run(self) -> None:
        """Work until cancelled, or until some work raises."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                name = await self._begun.get()
                tasks.create_task(self._drain(name), name=f"discord: {name}")

    async def _drain(self, name: str) -> None:
        queue = self._queues[name]
        while queue:
            # It holds its place until it is done: whoever comes meanwhile waits behind it.
            await queue[0]()
            queue.popleft()
            self._waiting -= 1
        del self._queues[name]
