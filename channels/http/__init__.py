"""Any platform, attached over HTTP in any language."""

from __future__ import annotations

from channels.http.settings import HttpSettings
from opencraw.contract import Channel, ChannelKind
from opencraw.settings import Section


def register() -> ChannelKind:
    """Return how the daemon opens this channel. One node polls; a bridge may call any."""
    return ChannelKind(settings=HttpSettings, open=_open, one_receiver=True)


def _open(settings: Section) -> Channel:
    # Every command of ours looks at the settings; only the daemon needs what is behind them.
    from channels.http.channel import Http, Polls, PollsAndShows, Shows

    assert isinstance(settings, HttpSettings)
    kinds = {
        (False, False): Http,
        (True, False): Polls,
        (False, True): Shows,
        (True, True): PollsAndShows,
    }
    return kinds[bool(settings.poll_url), bool(settings.stream_url)](settings)
