"""Linear."""

from __future__ import annotations

from channels.linear.settings import LinearSettings
from opencraw.contract import Channel, ChannelKind
from opencraw.settings import Section


def register() -> ChannelKind:
    """Return how the daemon opens this channel. Every node receives: Linear may call any of them,
    and polls share one cursor."""
    return ChannelKind(settings=LinearSettings, open=_open, reactions=True)


def _open(settings: Section) -> Channel:
    # Every command of ours looks at the settings; only the daemon needs the library behind them.
    from channels.linear.channel import Linear

    assert isinstance(settings, LinearSettings)
    return Linear(settings)
