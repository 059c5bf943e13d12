from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from channels.telegram.settings import TelegramSettings
from tests.fakes.telegram_chats import TOKEN

SECRET = "only-telegram-knows-this"


def settings(**chosen: object) -> TelegramSettings:
    return TelegramSettings.model_validate(chosen)


def test_nothing_is_needed_as_long_as_nobody_wants_it() -> None:
    assert not settings().enabled


@pytest.mark.parametrize(
    ("chosen", "problem"),
    [
        ({"enabled": True}, "TELEGRAM_BOT_TOKEN"),
        ({"bot_token": "abc"}, "BotFather"),
        ({"bot_token": TOKEN, "webhook_url": "https://a.example"}, "both or none"),
        ({"bot_token": TOKEN, "webhook_secret": SECRET}, "both or none"),
        ({"webhook_url": "https://a.example", "webhook_secret": "short"}, "16 to 256"),
        ({"api_url": "ftp://a.example"}, "web address"),
        ({"api_url": "https://u:p@a.example"}, "without a password"),
        ({"max_message_chars": 4096}, "4000"),
        ({"long_poll_timeout_seconds": 31}, "30"),
        ({"access": {"owners": ["@peter"]}}, "names let nobody in"),
        ({"access": {"groups": ["Den"]}}, "names let nobody in"),
        ({"webhook_url": "http://a.example", "webhook_secret": SECRET}, "https"),
        ({"attachments": {"types": ["pdf"]}}, "application/pdf"),
    ],
)
def test_what_cannot_work_is_refused_with_its_fix(chosen: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        settings(**chosen)


def test_a_dead_line_is_noticed_within_45_seconds() -> None:
    assert settings(long_poll_timeout_seconds=30).patience <= 45


def test_the_settings_are_read_without_the_library() -> None:
    looks = "import sys, channels.telegram; channels.telegram.register(); "
    looks += "sys.exit('telegram' in sys.modules or 'httpx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", looks], check=False).returncode == 0
