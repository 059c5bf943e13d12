"""How a part of the daemon speaks to other nodes, and how it hears them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from opencraw.bus.messages import Message

log = logging.getLogger(__name__)

M = TypeVar("M", bound=Message)


class Bus:
    """The bus of a node that nothing connects to others: nobody hears it, and it hears nobody.
    `opencraw.bus.redis` carries further."""

    def __init__(self) -> None:
        self._ears: dict[type[Any], list[Callable[[Any], None]]] = {}

    #: Whether there is anything that could carry a message to another node.
    reaches_others = False

    @property
    def problem(self) -> str | None:
        """Why other nodes are not heard at the moment, if they should be."""
        return None

    def publish(self, message: Message) -> None:
        """Tell all other nodes, if possible. Never waits, never fails, promises nothing."""

    def on(self, kind: type[M], hear: Callable[[M], None]) -> None:
        """Have `hear` called with every message of this kind that another node published. It must
        return at once."""
        self._ears.setdefault(kind, []).append(hear)

    async def run(self) -> None:
        """Carry messages until cancelled."""
        await asyncio.Event().wait()

    async def drained(self) -> None:
        """Return when all that was published is on its way."""

    def _heard(self, message: Message) -> None:
        for hear in self._ears.get(type(message), ()):
            try:
                hear(message)
            except Exception:
                # It was only a hint: the poll finds what is behind it.
                log.exception("a %s from another node", type(message).__name__)
