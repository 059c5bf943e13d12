"""Opens the configured channels and keeps each of them running, whatever happens to it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from opencraw.config.channels import installed
from opencraw.contract import Address, Channel, ChannelKind, Gateway, Knows, Listener, Streams
from opencraw.errors import Unavailable
from opencraw.events import Event
from opencraw.queue.nodes import Node
from opencraw.settings import ChannelSettings

log = logging.getLogger(__name__)

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
#: A channel that ran so long had recovered: its next trouble is a new one.
_RECOVERED_SECONDS = 60.0
#: With the lease of a node, a dead one's receivers move within five seconds.
CLAIM_SECONDS = 1.0
#: One deployment has one account on each channel.
_ACCOUNT = ""


@dataclass(slots=True)
class Hosted:
    """One open channel and how it fares. Of several nodes those that do not receive for it stand
    by: they send, and take over when the one that receives is gone."""

    kind: ChannelKind
    channel: Channel
    settings: ChannelSettings
    state: Literal["starting", "running", "standby", "failed"] = "starting"
    detail: str = ""

    async def problem(self) -> str | None:
        """Why nobody can be reached here at the moment, if so."""
        return None if self.state in ("running", "standby") else self.detail or self.state


class ChannelHost:
    """The open channels, by name."""

    def __init__(self, hosted: Mapping[str, Hosted]) -> None:
        self.hosted = hosted
        self.channels = {name: each.channel for name, each in hosted.items()}
        # Asked once here and not at every delta: looking at a protocol takes microseconds.
        self._streaming = {
            name: channel for name, channel in self.channels.items() if isinstance(channel, Streams)
        }
        self._knowing = {
            name: channel for name, channel in self.channels.items() if isinstance(channel, Knows)
        }
        #: Each keeps our claim to receive for one channel.
        self._claims: set[asyncio.Future[None]] = set()

    @classmethod
    def open(cls, sections: Mapping[str, ChannelSettings]) -> ChannelHost:
        """Open every enabled channel."""
        kinds = installed()
        return cls(
            {
                name: Hosted(kinds[name], kinds[name].open(settings), settings)
                for name, settings in sections.items()
                if settings.enabled
            }
        )

    def streams(self, name: str) -> bool:
        """Whether a channel can show a turn while it runs."""
        return name in self._streaming

    def listener(self, address: Address) -> Listener | None:
        """Who is at an address, if its channel can tell."""
        channel = self._knowing.get(address.channel)
        return channel.listener(address) if channel is not None else None

    def show(self, address: Address, event: Event) -> None:
        """Pass an event of a running turn to its channel, if that can show it."""
        channel = self._streaming.get(address.channel)
        if channel is not None:
            channel.show(address, event)

    def let_go(self) -> None:
        """Receive no more where another node may do so by now; soon we ask again."""
        for claim in self._claims:
            claim.cancel()

    async def run(self, gateway: Gateway, node: Node) -> None:
        """Run all channels until cancelled. One that fails is started again, after a pause that
        doubles; the others do not notice."""
        async with asyncio.TaskGroup() as tasks:
            for name, hosted in self.hosted.items():
                keep = self._keep_running(name, hosted, gateway, node)
                tasks.create_task(keep, name=f"channel {name}")

    async def _keep_running(self, name: str, hosted: Hosted, gateway: Gateway, node: Node) -> None:
        clock = asyncio.get_running_loop().time
        pause = _FIRST_PAUSE
        while True:
            if hosted.kind.one_receiver:
                await self._until_ours(name, hosted, node)
            began = clock()
            hosted.state, hosted.detail = "running", ""
            problem = await self._run_once(name, hosted, gateway, node)
            if problem is None:
                log.warning("channel %s: another node may receive by now, this one stops", name)
                hosted.state, hosted.detail = "standby", "another node may receive"
                continue
            if clock() - began > _RECOVERED_SECONDS:
                pause = _FIRST_PAUSE
            hosted.state, hosted.detail = "failed", f"{problem}; starting again in {pause:.0f} s"
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _run_once(
        self, name: str, hosted: Hosted, gateway: Gateway, node: Node
    ) -> str | None:
        """Run the channel; returns why it ended, or None when its receiver was let go of."""
        run = asyncio.ensure_future(hosted.channel.run(gateway))
        watched = [run]
        if hosted.kind.one_receiver:
            claim = asyncio.ensure_future(_while_ours(name, node))
            self._claims.add(claim)
            claim.add_done_callback(self._claims.discard)
            watched.append(claim)
        try:
            await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            if not run.done():
                return None
            run.result()
        except Exception as error:
            log.exception("channel %s failed", name)
            return f"{type(error).__name__}: {error}"
        else:
            return "it ended by itself"
        finally:
            for each in watched:
                each.cancel()
            await asyncio.wait(watched)

    async def _until_ours(self, name: str, hosted: Hosted, node: Node) -> None:
        """Stand by until this node is the one that receives for the channel."""
        while not await _is_ours(name, node):
            hosted.state, hosted.detail = "standby", "another node receives"
            await asyncio.sleep(CLAIM_SECONDS)


async def _while_ours(name: str, node: Node) -> None:
    """Keep our claim; return when another node has it."""
    while True:
        await asyncio.sleep(CLAIM_SECONDS)
        if not await _is_ours(name, node):
            return


async def _is_ours(name: str, node: Node) -> bool:
    try:
        return node.holds_lease and await node.receive_for(name, _ACCOUNT)
    except Unavailable as error:
        log.warning("channel %s: asking who receives: %s", name, error)
        return False
