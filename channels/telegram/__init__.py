"""Telegram: a bot of one's own, polled or called back, with answers that grow while they are
written."""

from __future__ import annotations

from channels.telegram.settings import TelegramSettings
from opencraw.contract import Channel, ChannelKind
from opencraw.settings import Section


def register() -> ChannelKind:
    """Return how the daemon opens this channel."""
    # Telegram's own clients cut a long paste into messages of 4,096 characters.
    return ChannelKind(settings=TelegramSettings, open=_open, one_receiver=True, splits_at=4096)


def _open(settings: Section) -> Channel:
    # Every command of ours looks at the settings; only the daemon needs the library behind them.
    from channels.telegram.channel import Telegram

    assert isinstance(settings, TelegramSettings)
    return Telegram(settings)
