"""Opens the configured channels, and is to the rest of the daemon what it knows of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextvars import ContextVar, copy_context

from opencraw.app.hosted import Claims, Hosted
from opencraw.config.channels import installed, open_channel
from opencraw.config.secrets import secrets_of
from opencraw.contract import (
    Address,
    Channel,
    Delivery,
    Gateway,
    Knows,
    Listener,
    PartSent,
    Previews,
    Streams,
)
from opencraw.errors import DeliveryFailure, NotFound
from opencraw.events import Event
from opencraw.platforms.traffic import Traffic, Traffics
from opencraw.queue.nodes import Node
from opencraw.settings import ChannelSettings
from opencraw.telemetry.redaction import Redactor

#: Channels log as `channels.<name>` and below.
_LOGGERS = "channels"
#: For which channel the code that runs works.
_speaks_for: ContextVar[str] = ContextVar("channel", default="")

__all__ = ["ChannelHost", "Hosted"]


class ChannelHost:
    """The open channels, by name."""

    def __init__(self, hosted: Mapping[str, Hosted], traffics: Traffics | None = None) -> None:
        self.hosted = hosted
        self.traffics = traffics or Traffics()
        self.channels = {name: each.channel for name, each in hosted.items()}
        for name, each in hosted.items():
            each.name, each.traffic = name, self.traffics.of(name)
        #: As the outbox sees them.
        self.outgoing = {
            name: _Counted(each.channel, each.traffic) for name, each in hosted.items()
        }
        # Asked once here and not at every delta: looking at a protocol takes microseconds.
        self._streaming = {
            name: channel for name, channel in self.channels.items() if isinstance(channel, Streams)
        }
        self._previewing = {
            name: channel
            for name, channel in self.channels.items()
            if isinstance(channel, Previews)
        }
        self._knowing = {
            name: channel for name, channel in self.channels.items() if isinstance(channel, Knows)
        }
        #: Each keeps our claim to receive for one channel.
        self._claims: Claims = set()

    @classmethod
    def open(cls, sections: Mapping[str, ChannelSettings]) -> ChannelHost:
        """Open every enabled channel."""
        kinds = installed()
        enabled = {name: settings for name, settings in sections.items() if settings.enabled}
        secrets = (secret for settings in enabled.values() for secret in secrets_of(settings))
        return cls(
            {
                name: Hosted(kinds[name], open_channel(name, settings), settings)
                for name, settings in enabled.items()
            },
            Traffics(Redactor(secrets)),
        )

    def get(self, name: str) -> Hosted:
        """The open channel of this name. Raises `NotFound`."""
        if name not in self.hosted:
            raise NotFound(
                f"There is no channel {name!r} here. Channels: {', '.join(sorted(self.hosted))}"
            )
        return self.hosted[name]

    def streams(self, name: str) -> bool:
        """Whether a channel can show a turn while it runs, on whichever node that is."""
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

    def preview(self, address: Address, event: Event) -> None:
        """Pass an event of a turn that runs here to its channel, if that draws it."""
        channel = self._previewing.get(address.channel)
        if channel is not None:
            channel.preview(address, event)

    def problems(self) -> Mapping[str, str]:
        """What is not well with the channels: no reason to send anybody away."""
        found = {f"channel {name}": each.problem for name, each in self.hosted.items()}
        return {name: problem for name, problem in found.items() if problem is not None}

    def let_go(self) -> None:
        """Receive no more where another node may do so by now; soon we ask again."""
        for claim in self._claims:
            claim.cancel()

    async def run(self, gateway: Gateway, node: Node) -> None:
        """Run all channels until cancelled. One that fails is started again; the others do not
        notice."""
        listener = _Listener(self.traffics, self.hosted)
        logger = logging.getLogger(_LOGGERS)
        logger.addHandler(listener)
        try:
            async with asyncio.TaskGroup() as tasks:
                for name, hosted in self.hosted.items():
                    for_this = copy_context()
                    for_this.run(_speaks_for.set, name)
                    attend = hosted.keep_attending(gateway)
                    tasks.create_task(
                        attend, name=f"channel {name} on every node", context=for_this
                    )
                    keep = hosted.keep_running(gateway, node, self._claims)
                    tasks.create_task(keep, name=f"channel {name}", context=for_this)
        finally:
            logger.removeHandler(listener)


class _Counted:
    """A channel whose sends are counted."""

    def __init__(self, channel: Channel, traffic: Traffic) -> None:
        self._channel = channel
        self._traffic = traffic

    @property
    def idempotent(self) -> bool:
        return self._channel.idempotent

    async def run(self, gateway: Gateway) -> None:
        await self._channel.run(gateway)

    async def send(self, delivery: Delivery, sent: PartSent) -> None:
        _speaks_for.set(delivery.address.channel)
        try:
            await self._channel.send(delivery, sent)
        except DeliveryFailure as failure:
            self._traffic.failed(str(failure))
            raise
        self._traffic.sent()


class _Listener(logging.Handler):
    """Notes what the loggers of channels warn of, each with its channel."""

    def __init__(self, traffics: Traffics, names: Sequence[str] | Mapping[str, object]) -> None:
        super().__init__(logging.WARNING)
        self._traffics = traffics
        self._names = names

    def emit(self, record: logging.LogRecord) -> None:
        """Note one line of `channels.<name>`, or of what channels share and this one uses."""
        name = record.name.removeprefix(f"{_LOGGERS}.").partition(".")[0]
        if name not in self._names:
            name = _speaks_for.get()
        if name not in self._names:
            return
        kind = "error" if record.levelno >= logging.ERROR else "warning"
        try:
            text = record.getMessage()
        except (TypeError, ValueError):
            # Arguments that do not fit their text: a note is never worth more than the work.
            text = str(record.msg)
        if record.exc_info and record.exc_info[1] is not None:
            text = f"{text}: {type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
        self._traffics.of(name).note(kind, text)
