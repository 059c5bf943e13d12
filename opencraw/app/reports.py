"""What the daemon tells of its channels (see `control.channels.ChannelFacts`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from opencraw.app.channels import ChannelHost
from opencraw.app.hosted import Hosted
from opencraw.platforms.quarantine import Quarantine


class ChannelReports:
    """The open channels, as an operator asks about them."""

    def __init__(self, host: ChannelHost, quarantine: Quarantine) -> None:
        self._host = host
        self._quarantine = quarantine

    def channels(self) -> Sequence[Mapping[str, object]]:
        """Every open channel, by name."""
        return [_report(hosted) for _, hosted in sorted(self._host.hosted.items())]

    def channel(self, name: str) -> Mapping[str, object]:
        """One of them."""
        return _report(self._host.get(name))

    async def probe(self, name: str) -> Mapping[str, str]:
        """What the platform says of our account; what waits to be tried again is tried now."""
        return await self._host.get(name).probe()

    def happenings(self, name: str, limit: int) -> Sequence[Mapping[str, object]]:
        """What happened to a channel lately, oldest first."""
        return [asdict(each) for each in self._host.get(name).traffic.happenings(limit)]

    async def put_aside(self, name: str, limit: int) -> Sequence[Mapping[str, object]]:
        """The events that the channel did not understand, newest first."""
        self._host.get(name)
        return [asdict(each) for each in await self._quarantine.newest(name, limit)]


def _report(hosted: Hosted) -> Mapping[str, object]:
    traffic = hosted.traffic
    return {
        "name": hosted.name,
        "state": hosted.state,
        "since": hosted.since,
        "detail": hosted.detail,
        "next_attempt": hosted.next_attempt,
        "last_heard": hosted.last_heard,
        "last_in": traffic.last_in,
        "last_out": traffic.last_out,
        "counts": traffic.counts,
        "capabilities": hosted.capabilities,
    }
