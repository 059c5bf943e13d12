"""Holds back whoever floods a conversation, and nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID

#: Between two messages of a crowded lane. Some eighty a second still come in, far more than anybody
#: can read; what counts is that they leave room for everybody else's.
PAUSE_SECONDS = 0.01


class _Gate:
    def __init__(self) -> None:
        self.one_at_a_time = asyncio.Lock()
        self.users = 0


class Turnstile:
    """Lets the messages of a crowded lane in one by one. Others walk past it."""

    def __init__(self, is_crowded: Callable[[UUID], bool]) -> None:
        self._is_crowded = is_crowded
        self._gates: dict[UUID, _Gate] = {}

    @asynccontextmanager
    async def through(self, session: UUID) -> AsyncIterator[None]:
        """Enter when it is this message's turn. The order of those who queue here is kept."""
        if session not in self._gates and not self._is_crowded(session):
            yield
            return
        gate = self._gates.setdefault(session, _Gate())
        gate.users += 1
        try:
            async with gate.one_at_a_time:
                if self._is_crowded(session):
                    await asyncio.sleep(PAUSE_SECONDS)
                yield
        finally:
            gate.users -= 1
            if not gate.users:
                del self._gates[session]
