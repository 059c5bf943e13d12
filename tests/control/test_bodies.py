from __future__ import annotations

import pytest

from opencraw.control.bodies import parse
from opencraw.errors import Refused
from tests.control.serving import BEARER, Served, code_of, serving

SEND = "/api/v1/os/messages/send"
JSON = {**BEARER, "Content-Type": "application/json"}
HOSTILE = {
    "deep lists": b"[" * 100_000,
    "deep lists, closed": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "just too deep": b"[" * 65 + b"]" * 65,
    "a long integer": b"1" * 5_000,
    "an integer beyond 64 bits": b"9223372036854775808",
    "not a number": b"NaN",
    "infinity": b"[Infinity]",
    "minus infinity": b'{"a": -Infinity}',
    "infinity in digits": b"1e999",
    "a key twice": b'{"a": 1, "a": 2}',
    "a key twice, spelt differently": b'{"a": 1, "\\u0061": 2}',
    "a NUL": b'"\\u0000"',
    "a NUL in a key": b'{"\\u0000": 1}',
    "half a character": b'"\\ud800"',
    "half a character in a list": b'["\xc3\xa4\\udc00"]',
    "nothing": b"",
    "not UTF-8": b'"\xff"',
    "another encoding": '{"a": 1}'.encode("utf-16"),
    "two values": b"1 2",
    "a comment": b"{} // no",
    "a comma too many": b"[1,]",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_text_is_refused(body: bytes) -> None:
    with pytest.raises(Refused):
        parse(body)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"[" * 64 + b"]" * 64, None),
        (b'{"a": [1, -2.5, true, null, "\\u00e4 \\ud83d\\ude00"]}', None),
        (b"9223372036854775807", 2**63 - 1),
        (b'"\\\\u0000"', "\\u0000"),
        ('"ä\U0001f600"'.encode(), "ä\U0001f600"),
    ],
)
def test_an_honest_text_is_read(body: bytes, value: object) -> None:
    parsed = parse(body)
    assert value is None or parsed == value


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
async def test_a_hostile_body_is_answered_with_400_and_has_no_effect(body: bytes) -> None:
    async with serving() as served:
        async with served.client.post(SEND, data=body, headers=JSON) as response:
            assert response.status == 400
            assert await code_of(response) == "INVALID_REQUEST"
        assert served.facts.sent == []


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "MISSING_FIELD", "channel"),
        ({"channel": "a", "recipient": "b"}, "MISSING_FIELD", "message"),
        ({"channel": "a", "recipient": "b", "message": " "}, "INVALID_FIELD", "message"),
        ({"channel": "a", "recipient": 7, "message": "c"}, "INVALID_FIELD", "recipient"),
        (
            {"channel": "a", "recipient": "b", "message": "c", "urgent": True},
            "INVALID_FIELD",
            "urgent",
        ),
        ([], "INVALID_FIELD", ""),
    ],
)
async def test_a_wrong_field_is_named(body: object, code: str, field: str) -> None:
    async with serving() as served:
        answer = await send(served, body)
    assert answer == (400, code, field)


async def send(served: Served, body: object) -> tuple[int, str, str]:
    async with served.client.post(SEND, json=body, headers=BEARER) as response:
        code = await code_of(response)
        return response.status, code, (await response.json())["error"]["details"]["field"]
