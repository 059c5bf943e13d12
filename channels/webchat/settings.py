"""The `[channels.webchat]` section."""

from __future__ import annotations

from opencraw.settings import HttpChannelSettings


class WebChatSettings(HttpChannelSettings):
    """The page at `/` and the WebSocket behind it."""

    enabled: bool = True
    """Serve the chat page and its WebSocket."""
