"""The suite on Telegram."""

from __future__ import annotations

from tests.channels.conformance import (
    Asking,
    Conformance,
    Hearing,
    InGroups,
    InParts,
    WithChanges,
    WithDrafts,
    WithFiles,
    WithoutKeys,
    WithReactions,
    WithStrangers,
    WithTyping,
)
from tests.channels.telegram.platform import CalledTelegramPlatform, TelegramPlatform


class TestTelegram(
    Conformance,
    Asking,
    WithoutKeys,
    InGroups,
    InParts,
    WithStrangers,
    WithFiles,
    WithDrafts,
    WithTyping,
    WithReactions,
):
    platform_type = TelegramPlatform
    # Telegram tells bots nothing of what people delete.
    test_a_message_that_waits_says_what_it_says_after_an_edit = (
        WithChanges.test_a_message_that_waits_says_what_it_says_after_an_edit
    )


class TestTelegramThatCalls(Hearing):
    platform_type = CalledTelegramPlatform
    keyed = False
