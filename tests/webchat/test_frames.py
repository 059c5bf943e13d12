from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.webchat import frames
from opencraw.contract import Line, Waiting


def refusal(text: object) -> frames.FrameRefused:
    with pytest.raises(frames.FrameRefused) as refused:
        frames.decode(text)
    return refused.value


def test_a_message_is_decoded() -> None:
    frame = frames.decode('{"type":"message","content":"hi","client_message_id":"m-1"}')
    assert frame == frames.Message(content="hi", client_message_id="m-1")


def test_history_has_defaults() -> None:
    assert frames.decode('{"type":"history"}') == frames.History(before=None, limit=50)


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"reaction","emoji":"x"}',
        '{"content":"a frame without a type"}',
        '{"type":"message"}',
        '{"type":"message","content":7}',
        '{"type":"message","content":"hi","rights":"owner"}',
        '{"type":"message","content":"hi","client_message_id":""}',
        '{"type":"message","content":"hi","client_message_id":"line\\nbreak"}',
        '{"type":"message","content":"hi","client_message_id":"nul\\u0000"}',
        '{"type":"message","content":"hi","attachments":[7]}',
        '{"type":"message","content":"hi","attachments":[""]}',
        '{"type":"message","content":"hi","attachments":[' + ",".join(['"a"'] * 51) + "]}",
        '{"type":"history","limit":201}',
        '{"type":"history","limit":0}',
        '{"type":"history","before":"yesterday"}',
        '{"type":"history","before":-1}',
        '{"type":"resume","resume_token":"t","last_seq":1.5}',
        '{"type":"resume","resume_token":"t","last_seq":' + "9" * 5000 + "}",
        '{"type":"withdraw","message_id":"not-a-uuid"}',
        '["message"]',
        "7",
    ],
)
def test_what_has_a_wrong_shape_is_an_invalid_field(text: str) -> None:
    assert refusal(text).code == "INVALID_FIELD"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"type":"stop"',
        '{"type":"history","before":NaN}',
        '{"type":"message","content":"\\ud800',
        '{"type":"message","content":"\\ud800","x":' + "[" * 100_000,
        b'{"type":"stop"}',
    ],
)
def test_what_is_no_json_text_is_an_invalid_request(text: object) -> None:
    assert refusal(text).code == "INVALID_REQUEST"


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"type":"stop","more":' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"type":"message","content":' + '{"a":' * 100_000 + "1" + "}" * 100_001,
    ],
    ids=["open", "unknown field", "wrong type"],
)
def test_deep_json_is_refused_and_nothing_worse(text: str) -> None:
    assert refusal(text).code in ("INVALID_FIELD", "INVALID_REQUEST")


def test_a_refusal_names_the_message_it_is_about() -> None:
    text = '{"type":"message","content":1,"client_message_id":"m-1"}'
    assert refusal(text).client_message_id == "m-1"


@pytest.mark.parametrize("content", ["", "  \n ", "x" * 1_000_001])
def test_a_message_needs_text_of_a_bearable_length(content: str) -> None:
    text = json.dumps({"type": "message", "content": content, "client_message_id": "m-1"})
    refused = refusal(text)
    assert (refused.code, refused.client_message_id) == ("INVALID_FIELD", "m-1")


@pytest.mark.parametrize(
    "content", ["half an emoji \ud83d", "\udc00", "a nul \x00 byte", "\U0001f600"]
)
def test_text_that_the_gateway_will_clean_is_taken(content: str) -> None:
    frame = frames.decode(json.dumps({"type": "message", "content": content}))
    assert frame == frames.Message(content=content)


@given(st.text())
def test_decoding_refuses_or_returns_and_nothing_else(text: str) -> None:
    with pytest.raises(frames.FrameRefused):
        frames.decode(text)


@given(st.text(st.characters(exclude_categories=())), st.integers(0, 2**53))
def test_every_delta_can_be_encoded_and_read_by_a_browser(text: str, offset: int) -> None:
    frame = frames.Delta(content=text, offset=offset, run_id=UUID(int=1), attempt=1)
    # JavaScript strings are UTF-16 and may hold halves, which `json` keeps as well.
    read = json.loads(frames.encode(frame))["content"]
    assert read.encode("utf-16", "surrogatepass") == text.encode("utf-16", "surrogatepass")


def test_a_client_recognises_only_its_own_ids() -> None:
    key = frames.dedupe_key("main", "m:1")
    assert frames.client_message_id("main", key) == "m:1"
    assert frames.client_message_id("other", key) is None
    assert frames.client_message_id("main", str(uuid4())) is None


def test_waiting_messages_are_shown_by_their_beginning() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    waiting = Waiting(message_id=uuid4(), text="x" * 1_000_000, at=at, dedupe_key="main:a")
    (shown,) = frames.waits("main", [waiting])
    assert len(shown.content) == frames.WAITING_TEXT_LIMIT
    assert shown.client_message_id == "a"


def test_frames_look_as_the_protocol_says() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    line = Line(seq=4, kind="notice", text="*ok*", at=at, message_id=UUID(int=2))
    assert json.loads(frames.encode(frames.spoken(line, "<p><em>ok</em></p>"))) == {
        "type": "message",
        "content": "*ok*",
        "html": "<p><em>ok</em></p>",
        "seq": 4,
        "message_id": str(UUID(int=2)),
        "run_id": None,
        "kind": "notice",
        "tools": [],
        "interrupted": False,
        "at": "2026-01-01T00:00:00Z",
    }
    history = frames.Lines([], more=False)
    assert json.loads(frames.encode(history)) == {"type": "history", "messages": [], "more": False}
