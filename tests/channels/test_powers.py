"""What channels say they do follows their settings."""

from __future__ import annotations

import pytest

from opencraw.config.channels import installed
from opencraw.contract import Does, Power

TOKENS = {
    "telegram": {"bot_token": "123456789:AAF-abcdefghijklmnopqrstuvwxyz"},
    "discord": {"bot_token": "MTIz.made-up.token"},
    "linear": {"api_key": "a-key"},
    "http": {"secret": "s" * 32, "send_url": "http://127.0.0.1:9/send"},
}
ALL = {Power.DRAFTS, Power.TYPING, Power.REACTIONS}
STREAM = {"stream_url": "http://127.0.0.1:9/stream"}


@pytest.mark.parametrize(
    ("name", "chosen", "does"),
    [
        ("telegram", {}, ALL),
        ("telegram", {"typing": False}, ALL - {Power.TYPING}),
        ("discord", {}, ALL),
        ("discord", {"drafts": False}, ALL - {Power.DRAFTS}),
        ("linear", {}, {Power.DRAFTS, Power.REACTIONS}),
        ("linear", {"drafts": False}, {Power.REACTIONS}),
        ("http", {}, {Power.REACTIONS}),
        ("http", STREAM, ALL),
        ("http", STREAM | {"typing": False}, ALL - {Power.TYPING}),
    ],
)
def test_a_channel_does_what_its_settings_want(
    name: str, chosen: dict[str, object], does: set[Power]
) -> None:
    kind = installed()[name]
    settings = kind.settings.model_validate({"enabled": True, **TOKENS[name], **chosen})
    channel = kind.open(settings)
    assert isinstance(channel, Does)
    assert channel.powers == does
