"""What only a bridge can do that is polled."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import ValidationError

from channels.http.channel import Polls
from channels.http.settings import HttpSettings
from tests.channels.house import housed
from tests.channels.http.platform import PolledBridge
from tests.fixtures.core import until


async def test_a_bridge_that_answers_no_whisper_is_polled_on_and_whispered_to_once(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channels.http.channel._WHISPER_SECONDS", 0.5)
    async with PolledBridge() as platform, housed(platform, tmp_path, database_url) as house:
        await house.open(request_seconds=60.0)
        await platform.says("[[say Hello.]]")
        await house.sees("Hello.")
        await house.becomes("running")
        bridge = platform.bridge
        bridge.holds_whispers = True
        press = {"id": "press", "kind": "choice", "choice": str(uuid4()), "option": "yes"}
        bridge.publish({**press, "chat": "chat-a", "sender": {"id": platform.person("a")}})
        await until(lambda: bridge.whispered, "a whisper")
        moved = "cursor_position WHERE channel = 'http' AND value = '0-2'"
        assert await house.count(moved) == 1
        await platform.says("[[say Still here.]]")
        await house.sees("Still here.")
        assert bridge.whispered == ["press"]
        assert (await house.channel())["state"] == "running"


def test_the_pause_between_two_polls_is_no_silence() -> None:
    seldom = polls(poll_interval_ms=10_000, long_poll_timeout_seconds=2)
    assert seldom.pulse.patience > 10 + 2
    with pytest.raises(ValidationError, match="would look dead"):
        polls(poll_interval_ms=20_000, long_poll_timeout_seconds=30)


def polls(**given: object) -> Polls:
    own = {"enabled": True, "secret": "x" * 32, "send_url": "https://x.example/in"}
    return Polls(HttpSettings.model_validate({**own, "poll_url": "https://x.example/out", **given}))
