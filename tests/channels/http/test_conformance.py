"""The channel of bridges keeps the promises of every channel, whoever calls whom."""

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
    WithKeys,
    WithoutKeys,
    WithReactions,
    WithStrangers,
    WithTyping,
)
from tests.channels.house import House
from tests.channels.http.platform import CallingBridge, ForgetfulBridge, PolledBridge
from tests.channels.platform import Platform


class TestPolledBridge(
    Conformance,
    Asking,
    WithKeys,
    InGroups,
    WithStrangers,
    WithFiles,
    WithDrafts,
    WithTyping,
    WithChanges,
    WithReactions,
    InParts,
):
    platform_type = PolledBridge
    keyed = True


class TestCallingBridge(Hearing):
    platform_type = CallingBridge
    keyed = True

    async def test_a_dead_line_is_noticed_and_opened_again(
        self, platform: Platform, house: House
    ) -> None:
        """A bridge that calls has no line that could be dead: its silence means nothing."""
        await house.open()
        await platform.silent()
        await platform.says("[[say Hello.]]")
        await house.sees("Hello.")
        assert (await house.channel())["state"] == "running"

    async def test_a_revoked_credential_is_told_with_the_next_step(
        self, platform: Platform, house: House
    ) -> None:
        """Nor an account: while the secrets differ, messages wait."""
        await house.open()
        await platform.revoke()
        await platform.says("[[say Hello.]]")
        open_again = "outbox WHERE state = 'pending' AND attempts > 0"
        while not await house.count(open_again):
            assert not platform.shown()
        await platform.reconnect()
        await house.sees("Hello.")


class TestForgetfulBridge(WithoutKeys):
    platform_type = ForgetfulBridge
    platform = Conformance.platform
