"""Discord."""

from __future__ import annotations

from channels.discord.settings import DiscordSettings
from opencraw.contract import Channel, ChannelKind
from opencraw.settings import Section


def register() -> ChannelKind:
    """Return how the daemon opens this channel."""
    return ChannelKind(settings=DiscordSettings, open=_open, one_receiver=True)


def _open(settings: Section) -> Channel:
    # Every command of ours looks at the settings; only the daemon needs the library behind them.
    from channels.discord.channel import Discord

    assert isinstance(settings, DiscordSettings)
    return Discord(settings)
