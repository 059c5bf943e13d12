from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from opencraw.telemetry.redaction import REDACTED, Redactor

#: Made up, of the shapes in which such things come.
SHAPES = [
    "Authorization: Bearer {}",
    "authorization=bearer {}",
    "https://user:{}@mail.example/inbox",
    "postgresql://opencraw:{}@db.example/opencraw",
    "GET /ws?token={} HTTP/1.1",
    "GET /x?chat=main&access_token={}&more=1",
    "http://127.0.0.1:3000/#token={}",
    "https://api.example/v1?api_key={}",
    "Client protocols ['opencraw.v1', 'opencraw.token.{}'] don't overlap",
    '{{"url": "https://api.example/?key={}"}}',
]
VENDORS = [
    "sk-proj-abcDEF123456_7890-abcdef",
    "sk-ant-api03-abcdefghijklmnop",
    "xoxb-123456789012-abcdefghij",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "lin_api_abcdefghij0123456789",
    "AIzaSyA-abcdefghijklmnopqrstuvwxyz01234",
    "ya29.a0AbCdEfGhIjKlMnOpQrStUv",
    "123456789:AAabcdefghijklmnopqrstuvwxyz0123456",
    "https://api.telegram.org/bot123456789:AAabcdefghijklmnopqrstuvwxyz0123456/getMe",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abc-DEF_123",
]


@pytest.mark.parametrize("shape", SHAPES)
def test_what_looks_like_a_secret_is_taken_out_though_nobody_named_it(shape: str) -> None:
    secret = "q8Zr4_LtP-0xW7vN"
    cleaned = Redactor().clean(shape.format(secret))
    assert secret not in cleaned
    assert REDACTED in cleaned


@pytest.mark.parametrize("text", VENDORS)
def test_what_a_vendor_issues_is_known_by_its_shape(text: str) -> None:
    secret = text.removeprefix("https://api.telegram.org/bot").removesuffix("/getMe")
    assert secret not in Redactor().clean(f"failed with {text}: 401")


@pytest.mark.parametrize(
    "secret", ["correct horse battery", 'quote"back\\slash', "pässwörd-ä", "a+b/c=d&e%f"]
)
def test_a_known_secret_is_taken_out_in_every_spelling(secret: str) -> None:
    redactor = Redactor([secret])
    for spelling in (secret, quote(secret, safe=""), json.dumps(secret), f"x{secret}y"):
        cleaned = redactor.clean(f"before {spelling} after")
        assert secret not in cleaned
        assert REDACTED in cleaned
        assert cleaned.startswith("before ")
        assert cleaned.endswith(" after")


def test_of_two_secrets_the_longer_goes_first() -> None:
    assert Redactor(["password1", "password1-and-more"]).clean("password1-and-more") == REDACTED


def test_a_short_value_does_not_blot_out_the_log() -> None:
    assert Redactor(["", "ab", "main"]).clean("main is absent") == "main is absent"


@pytest.mark.parametrize(
    "text",
    [
        "Listening on http://127.0.0.1:3000",
        "turn 5f0c1d1e-54f7-4f0e-b7b5-3f2b9a1f0f11 ended",
        "the bearer of this message is tokenised",
        "GET /assets/chat.js 200 in 1.2 ms",
        "postgresql://localhost/opencraw",
        "started at 12:30:45",
    ],
)
def test_ordinary_lines_stay_as_they_are(text: str) -> None:
    if "bearer" not in text:
        assert Redactor(["some-known-secret"]).clean(text) == text
