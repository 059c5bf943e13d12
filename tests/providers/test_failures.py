from __future__ import annotations

from datetime import UTC, datetime

import pytest

from opencraw.errors import FailureKind
from opencraw.providers import anthropic_messages, failures, openai_chat

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)

OPENAI = [
    (401, b'{"error":{"code":"invalid_api_key"}}', "auth"),
    (401, b"", "auth"),
    (402, b'{"error":{"message":"Insufficient credits","code":402}}', "billing"),
    (403, b'{"error":{"code":"unsupported_country_region_territory"}}', "auth"),
    (429, b'{"error":{"type":"insufficient_quota","code":"insufficient_quota"}}', "billing"),
    (429, b'{"error":{"message":"You exceeded your current quota"}}', "billing"),
    (429, b'{"error":{"type":"tokens","code":"rate_limit_exceeded"}}', "rate_limited"),
    (429, b"slow", "rate_limited"),
    (400, b'{"error":{"code":"context_length_exceeded"}}', "context_overflow"),
    (400, b'{"object":"error","message":"maximum context length is 4096"}', "context_overflow"),
    (500, b'{"error":{"message":"exceeds the available context size"}}', "context_overflow"),
    (400, b'{"error":{"type":"invalid_request_error","message":"tools?"}}', "format"),
    (404, b'{"error":"model \\"x\\" not found"}', "format"),
    (422, b'{"detail":[{"msg":"field required"}]}', "format"),
    (413, b"", "context_overflow"),
    (408, b"", "timeout"),
    (504, b"<html>", "timeout"),
    (500, b'{"error":{"type":"server_error"}}', "overloaded"),
    (502, b"<html>", "overloaded"),
    (503, b"", "overloaded"),
    (200, b'{"error":{"code":429,"message":"upstream"}}', "rate_limited"),
    (400, b'[{"error":{"code":400,"message":"API key not valid","status":"X"}}]', "format"),
    (500, b'{"error":{"code":true,"message":["odd"]}}', "overloaded"),
]
ANTHROPIC = [
    (400, b'{"error":{"type":"invalid_request_error","message":"max_tokens"}}', "format"),
    (
        400,
        b'{"error":{"type":"invalid_request_error","message":"Your credit balance is too low"}}',
        "billing",
    ),
    (402, b'{"error":{"type":"billing_error","message":"x"}}', "billing"),
    (
        429,
        b'{"error":{"type":"rate_limit_error","details":{"error_code":"enforced_spend_limit_reached"}}}',
        "billing",
    ),
    (401, b'{"error":{"type":"authentication_error"}}', "auth"),
    (403, b'{"error":{"type":"permission_error"}}', "auth"),
    (429, b'{"error":{"type":"rate_limit_error"}}', "rate_limited"),
    (529, b'{"error":{"type":"overloaded_error"}}', "overloaded"),
    (500, b'{"error":{"type":"api_error"}}', "overloaded"),
    (504, b'{"error":{"type":"timeout_error"}}', "timeout"),
    (400, b'{"error":{"message":"prompt is too long: 1 > 0"}}', "context_overflow"),
    (413, b'{"error":{"type":"request_too_large"}}', "context_overflow"),
    (404, b'{"error":{"type":"not_found_error","message":"model: x"}}', "format"),
]


@pytest.mark.parametrize(
    ("table", "status", "body", "kind"),
    [(openai_chat.TABLE, *row) for row in OPENAI]
    + [(anthropic_messages.TABLE, *row) for row in ANTHROPIC],
)
def test_every_refusal_has_a_kind(
    table: failures.Table, status: int, body: bytes, kind: str
) -> None:
    assert failures.classify(table, status, failures.read_complaint(body)) == kind


@pytest.mark.parametrize("table", [openai_chat.TABLE, anthropic_messages.TABLE])
def test_causes_are_told_apart_in_the_agreed_order(table: failures.Table) -> None:
    ours = {FailureKind.UNREACHABLE, FailureKind.SPEND_CAP}  # which no vendor says
    order = [kind for kind in FailureKind if kind not in ours]
    assert [kind for kind, _ in table] == order


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "Thu, 01 Jan 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Thu, 01 Jan 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "Thu, 01 Jan 2026 12:00:05 -0000"}, 5.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({}, None),
    ],
)
def test_a_vendors_wish_is_understood(headers: dict[str, str], seconds: float | None) -> None:
    assert failures.retry_after(headers, NOW) == seconds


def test_a_quote_is_one_short_line() -> None:
    said = failures.quoted("a\r\n\x1b[31mb" + "c" * 1000)
    assert "\n" not in said
    assert "\x1b" not in said
    assert len(said) <= failures.LONGEST_QUOTE + 1
