"""Turns that nobody works on, and how they come into our hands."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from uuid import UUID

from opencraw import crashpoints
from opencraw.errors import Unavailable
from opencraw.queue.turns import Turn
from opencraw.sessions.transcript import Session
from opencraw.worker.workshop import Workshop

log = logging.getLogger(__name__)

_MOST_AT_ONCE = 500


class Orphans:
    """Running turns whose node is gone, and turns of ours that we let go of."""

    def __init__(self, workshop: Workshop) -> None:
        self._turns = workshop.turns
        self._sessions = workshop.sessions
        #: As they were seen last and not taken over since, oldest first.
        self.known: list[Turn] = []
        self._handed_over: set[UUID] = set()

    async def look(self, held: Sequence[UUID]) -> None:
        """Look for them. `held` are the turns in our hands."""
        self.known = list(await self._turns.abandoned(held, _MOST_AT_ONCE))

    def hand_over(self, turn: Turn) -> None:
        """We let go of this turn by our own will; nobody died of it, even if we come back to it."""
        self._handed_over.add(turn.id)

    async def take_over(self, turn: Turn) -> Session | None:
        """Make the turn ours; returns its conversation, or None when that is not to be."""
        try:
            session = await self._sessions.session(turn.session_id)
        except Unavailable as error:
            log.warning("turn %s stays where it is for now: %s", turn.id, error)
            return None
        turn.died &= turn.id not in self._handed_over
        if session is None or not await self._turns.take_over(turn):
            return None
        self._handed_over.discard(turn.id)
        crashpoints.reach("recovery_step")
        log.info("turn %s goes on: attempt %d", turn.id, turn.attempt)
        return session
