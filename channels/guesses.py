"""Secrets that are guessed, where platforms call us.

Whoever calls with the right secret is never turned away: all of them may come from behind one
proxy.
"""

from __future__ import annotations

from aiohttp import web

from channels.pacing import Pace, Paces
from opencraw.errors import SlowDown

_AT_ONCE = 10
_SECONDS = 300.0


class Guesses:
    """The wrong secrets that one address of ours was called with, by where they came from."""

    def __init__(self) -> None:
        self._paces = Paces(lambda: Pace(_AT_ONCE / _SECONDS, _AT_ONCE), most=1_000)

    def note(self, request: web.Request) -> None:
        """Count one. Raises `SlowDown` where there were too many."""
        if not self._paces.of(request.remote or "").ready():
            raise SlowDown("Too many wrong secrets.", retry_after=_SECONDS)
