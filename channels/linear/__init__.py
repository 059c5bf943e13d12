"""Linear."""

from __future__ import annotations

from channels.linear.settings import LinearSettings
from opencraw.contract import Channel, ChannelKind
from opencraw.settings import Section


def register() -> ChannelKind:
    """Return how the daemon opens this channel. One node polls, for all of them share what Linear
    allows an account; Linear may call any."""
    return ChannelKind(settings=LinearSettings, open=_open, one_receiver=True)


def _open(settings: Section) -> Channel:
    # Every command of ours looks at the settings; only the daemon needs the library behind them.
    from channels.linear.channel import Linear

    assert isinstance(settings, LinearSettings)
    return Linear(settings)
