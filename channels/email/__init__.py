"""Any mailbox over IMAP and SMTP."""

from __future__ import annotations

from channels.email.settings import EmailSettings
from opencraw.contract import Channel, ChannelKind
from opencraw.settings import Section


def register() -> ChannelKind:
    """Return how the daemon opens this channel."""
    return ChannelKind(settings=EmailSettings, open=_open, one_receiver=True)


def _open(settings: Section) -> Channel:
    # Every command of ours looks at the settings; only the daemon needs the library behind them.
    from channels.email.channel import Email

    assert isinstance(settings, EmailSettings)
    return Email(settings)
