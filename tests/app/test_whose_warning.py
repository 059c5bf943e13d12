"""What channels share warns in the name of the channel that uses it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import cast
from uuid import uuid4

from opencraw.contract import Delivery, Gateway, PartSent
from opencraw.queue.nodes import Node
from tests.fixtures.core import until
from tests.fixtures.hosts import host_of

SHARED = logging.getLogger("channels.receiving")


class Noisy:
    """Uses what all channels use, also in tasks of its own."""

    idempotent = True

    def __init__(self, name: str) -> None:
        self._name = name

    async def run(self, gateway: Gateway) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._work())

    async def _work(self) -> None:
        SHARED.warning("an event of %s is odd", self._name)
        await asyncio.Event().wait()

    async def send(self, delivery: Delivery, sent: PartSent) -> None:
        raise NotImplementedError


async def test_what_channels_share_warns_in_the_name_of_the_one_that_uses_it() -> None:
    host = host_of(east=Noisy("east"), west=Noisy("west"))
    life = asyncio.create_task(host.run(cast("Gateway", None), cast("Node", uuid4())))

    def warned(name: str) -> list[str]:
        happened = host.hosted[name].traffic.happenings()
        return [each.text for each in happened if each.kind == "warning"]

    try:
        await until(lambda: all(warned(name) for name in ("east", "west")))
        assert warned("east") == ["an event of east is odd"]
        assert warned("west") == ["an event of west is odd"]
    finally:
        life.cancel()
        with suppress(asyncio.CancelledError):
            await life
