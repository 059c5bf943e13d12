"""The suite on Discord."""

from __future__ import annotations

from tests.channels.conformance import (
    Asking,
    Conformance,
    InGroups,
    InParts,
    WithChanges,
    WithDrafts,
    WithFiles,
    WithKeys,
    WithReactions,
    WithStrangers,
    WithTyping,
)
from tests.channels.discord.platform import DiscordPlatform


class TestDiscord(
    Conformance,
    Asking,
    WithKeys,
    InGroups,
    InParts,
    WithChanges,
    WithDrafts,
    WithFiles,
    WithReactions,
    WithStrangers,
    WithTyping,
):
    platform_type = DiscordPlatform
