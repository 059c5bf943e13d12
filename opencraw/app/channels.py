"""Opens the configured channels and keeps each of them running, whatever happens to it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from opencraw.config.channels import installed
from opencraw.contract import Address, Channel, Gateway, Streams
from opencraw.events import Event
from opencraw.settings import ChannelSettings

log = logging.getLogger(__name__)

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
#: A channel that ran so long had recovered: its next trouble is a new one.
_RECOVERED_SECONDS = 60.0


@dataclass(slots=True)
class Hosted:
    """One open channel and how it fares."""

    channel: Channel
    settings: ChannelSettings
    state: Literal["starting", "running", "failed"] = "starting"
    detail: str = ""

    async def problem(self) -> str | None:
        """Why nobody can be reached here at the moment, if so."""
        return None if self.state == "running" else self.detail or self.state


class ChannelHost:
    """The open channels, by name."""

    def __init__(self, hosted: Mapping[str, Hosted]) -> None:
        self.hosted = hosted
        self.channels = {name: each.channel for name, each in hosted.items()}

    @classmethod
    def open(cls, sections: Mapping[str, ChannelSettings]) -> ChannelHost:
        """Open every enabled channel."""
        kinds = installed()
        return cls(
            {
                name: Hosted(kinds[name].open(settings), settings)
                for name, settings in sections.items()
                if settings.enabled
            }
        )

    def show(self, address: Address, event: Event) -> None:
        """Pass an event of a running turn to its channel, if that can show it."""
        channel = self.channels.get(address.channel)
        if isinstance(channel, Streams):
            channel.show(address, event)

    async def run(self, gateway: Gateway) -> None:
        """Run all channels until cancelled. One that fails is started again, after a pause that
        doubles; the others do not notice."""
        async with asyncio.TaskGroup() as tasks:
            for name, hosted in self.hosted.items():
                tasks.create_task(self._keep_running(name, hosted, gateway), name=f"channel {name}")

    async def _keep_running(self, name: str, hosted: Hosted, gateway: Gateway) -> None:
        clock = asyncio.get_running_loop().time
        pause = _FIRST_PAUSE
        while True:
            began = clock()
            hosted.state, hosted.detail = "running", ""
            try:
                await hosted.channel.run(gateway)
                problem = "it ended by itself"
            except Exception as error:
                log.exception("channel %s failed", name)
                problem = f"{type(error).__name__}: {error}"
            if clock() - began > _RECOVERED_SECONDS:
                pause = _FIRST_PAUSE
            hosted.state, hosted.detail = "failed", f"{problem}; starting again in {pause:.0f} s"
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
