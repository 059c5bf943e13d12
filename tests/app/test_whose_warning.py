"""What channels share warns in the name of the channel that uses it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import cast
from uuid import uuid4

from opencraw.app.channels import ChannelHost, Hosted
from opencraw.contract import ChannelKind, Delivery, Gateway, PartSent
from opencraw.queue.nodes import Node
from opencraw.settings import ChannelSettings
from tests.fixtures.core import until

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


def hosted(name: str) -> Hosted:
    channel = Noisy(name)
    return Hosted(
        ChannelKind(ChannelSettings, lambda _: channel), channel, ChannelSettings(enabled=True)
    )


async def test_what_channels_share_warns_in_the_name_of_the_one_that_uses_it() -> None:
    host = ChannelHost({name: hosted(name) for name in ("east", "west")})
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
