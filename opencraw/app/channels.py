"""Opens the configured channels, and is to the rest of the daemon what it knows of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar, copy_context

from opencraw.app.hosted import Hosted
from opencraw.config.channels import installed, open_channel
from opencraw.config.secrets import secrets_of
from opencraw.contract import (
    Address,
    Delivery,
    Drafts,
    Gateway,
    Knows,
    Listener,
    PartSent,
    Streams,
)
from opencraw.errors import DeliveryFailure, NotFound
from opencraw.events import Event
from opencraw.platforms.traffic import Traffics
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

    def __init__(self, hosted: Iterable[Hosted], traffics: Traffics) -> None:
        self.hosted = {each.name: each for each in hosted}
        self.traffics = traffics
        self.channels = {name: each.channel for name, each in self.hosted.items()}
        #: As the outbox sees them.
        self.outgoing = {name: _WayOut(each) for name, each in self.hosted.items()}
        # Asked once here and not at every delta: looking at a protocol takes microseconds.
        self._streaming = {
            name: channel for name, channel in self.channels.items() if isinstance(channel, Streams)
        }
        self._drafting = {
            name: channel for name, channel in self.channels.items() if isinstance(channel, Drafts)
        }
        self._knowing = {
            name: channel for name, channel in self.channels.items() if isinstance(channel, Knows)
        }

    @classmethod
    def open(cls, sections: Mapping[str, ChannelSettings]) -> ChannelHost:
        """Open every enabled channel."""
        kinds = installed()
        enabled = {name: settings for name, settings in sections.items() if settings.enabled}
        secrets = (secret for settings in enabled.values() for secret in secrets_of(settings))
        traffics = Traffics(Redactor(secrets))
        hosted = [
            Hosted(name, kinds[name], open_channel(name, settings), settings, traffics.of(name))
            for name, settings in enabled.items()
        ]
        return cls(hosted, traffics)

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

    def draft(self, address: Address, event: Event) -> None:
        """Pass an event of a turn that runs here to its channel, if that draws it."""
        channel = self._drafting.get(address.channel)
        if channel is not None:
            channel.draft(address, event)

    def problems(self) -> Mapping[str, str]:
        """What is not well with the channels: no reason to send anybody away."""
        found = {f"channel {name}": each.problem for name, each in self.hosted.items()}
        return {name: problem for name, problem in found.items() if problem is not None}

    def let_go(self) -> None:
        """Receive no more where another node may do so by now; soon we ask again."""
        for hosted in self.hosted.values():
            hosted.let_go()

    async def begun(self) -> None:
        """Return when all channels that every node runs were started: they serve whoever comes."""
        for hosted in self.hosted.values():
            if not hosted.kind.one_receiver:
                await hosted.begun.wait()

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
                    keep = hosted.keep_running(gateway, node)
                    tasks.create_task(keep, name=f"channel {name}", context=for_this)
        finally:
            logger.removeHandler(listener)


class _WayOut:
    """A channel as the outbox sees it; what it sends is counted."""

    def __init__(self, hosted: Hosted) -> None:
        self._channel = hosted.channel
        self._traffic = hosted.traffic
        self.most_attempts = hosted.settings.delivery_attempts

    @property
    def idempotent(self) -> bool:
        return self._channel.idempotent

    async def send(self, delivery: Delivery, sent: PartSent) -> None:
        _speaks_for.set(delivery.address.channel)
        await self._channel.send(delivery, sent)
        self._traffic.sent()

    def failed(self, attempt: int, failure: DeliveryFailure) -> None:
        self._traffic.failed(str(failure), first=attempt == 1)

    def gave_up(self, reason: str) -> None:
        self._traffic.dead(reason)


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
