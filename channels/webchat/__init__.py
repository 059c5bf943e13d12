"""WebChat: the built-in page and the WebSocket behind it. docs/webchat.md is its protocol.

Reading order: `channel` (routes, and what the daemon calls), `connection` (one socket),
`conversation` (one chat: each line to each socket once, in order), `outgoing` (a bounded buffer),
`frames` (what travels), `files` (what people hand in), `rendering` and `markdown` (to safe HTML),
`assets` (the page's files).
"""

from __future__ import annotations

from channels.webchat.settings import WebChatSettings
from opencraw.contract import Channel, ChannelKind
from opencraw.settings import Section


def register() -> ChannelKind:
    """Return how the daemon opens this channel."""
    return ChannelKind(settings=WebChatSettings, open=_open)


def _open(settings: Section) -> Channel:
    # Every command of ours looks at the settings; only the daemon needs the server behind them.
    from channels.webchat.channel import WebChat

    assert isinstance(settings, WebChatSettings)
    return WebChat(settings.attachments)
