"""Values that could never work are refused at the start, with the shape that would."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from opencraw.config.channels import installed

UUID = "9cfb482a-81e3-4154-b5b9-2c805e70a02d"
SNOWFLAKE = "1098765432109876543"
GOOD: dict[str, dict[str, object]] = {
    "telegram": {
        "bot_token": "123456789:AAF-abcdefghijklmnopqrstuvwxyz",
        "api_url": "http://127.0.0.1:8081/",
        "access": {"owners": ["7"], "allowed_senders": ["123456789"], "groups": ["-1001"]},
    },
    "discord": {
        "bot_token": "MTIz.Gx-_.abc",
        "access": {"owners": [SNOWFLAKE], "groups": [SNOWFLAKE]},
    },
    "linear": {
        "api_key": "lin_api_0123456789",
        "webhook_secret": "lin_wh_0123456789",
        "team_ids": [UUID],
        "access": {"owners": [UUID], "groups": [UUID], "allowed_senders": ["bot:github"]},
    },
    "email": {"imap_host": "mail.example.org", "smtp_host": "::1", "smtp_security": "none"},
    # A network of our own, as of containers.
    "gmail": {"api_url": "http://gmail-proxy:8080", "token_url": "http://10.0.0.4/token"},
}
ELSEWHERE = "http://evil.example"


@pytest.mark.parametrize("name", GOOD)
def test_what_has_its_shape_is_taken(name: str) -> None:
    installed()[name].settings.model_validate(GOOD[name])


@pytest.mark.parametrize(
    ("name", "key", "value", "words"),
    [
        ("telegram", "api_url", ELSEWHERE, "only by https"),
        ("telegram", "api_url", "", "web address"),
        ("telegram", "access", {"owners": ["-1001"]}, "as in 123456789"),
        ("telegram", "access", {"allowed_senders": ["peter"]}, "names let nobody in"),
        ("telegram", "access", {"groups": ["1001"]}, "as in -1001234567890"),
        ("discord", "api_url", ELSEWHERE, "only by https"),
        ("discord", "bot_token", "abc", "Reset Token"),
        ("discord", "bot_token", "Bot MTIz.a.b", 'without "Bot"'),
        ("discord", "access", {"owners": ["peter"]}, "Copy User ID"),
        ("discord", "access", {"groups": ["#general"]}, "Copy Channel ID"),
        ("linear", "graphql_url", ELSEWHERE, "only by https"),
        ("linear", "uploads_url", ELSEWHERE, "only by https"),
        ("linear", "api_key", "lin_api_01234 56789", "without blanks"),
        ("linear", "webhook_secret", "x", "lin_wh_"),
        ("linear", "team_ids", ["ENG"], "as in 9cfb482a-"),
        ("linear", "access", {"owners": ["peter"]}, "as in 9cfb482a-"),
        ("linear", "access", {"allowed_senders": ["eve"]}, "as in 9cfb482a-"),
        ("linear", "access", {"groups": ["ENG"]}, "as in 9cfb482a-"),
        ("email", "imap_host", "imaps://mail.example.org", 'as in "mail.example.org"'),
        ("email", "smtp_host", "mail.example.org:465", 'as in "mail.example.org"'),
        ("email", "folder", "", "INBOX"),
        ("email", "ca_file", "/nowhere/ca.pem", "there is no file '/nowhere/ca.pem'"),
        ("gmail", "api_url", ELSEWHERE, "only by https"),
        ("gmail", "token_url", ELSEWHERE, "only by https"),
        ("gmail", "label", " ", "INBOX"),
    ],
)
def test_what_has_not_is_refused_with_the_shape_that_it_needs(
    name: str, key: str, value: object, words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        installed()[name].settings.model_validate({**GOOD[name], key: value})
