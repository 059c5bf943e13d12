"""The `[channels.webchat]` section."""

from __future__ import annotations

from opencraw.settings import AttachmentSettings, PageSettings


class WebChatSettings(PageSettings):
    """The page at `/` and the WebSocket behind it."""

    enabled: bool = True
    """Serve the chat page and its WebSocket."""

    attachments: AttachmentSettings = AttachmentSettings()
    """Which files people may hand in on the page."""
