from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from opencraw.providers.sse import Decoder, LineTooLong

#: Anything that fits in a line: the standard's line ends are the only bytes it may not hold.
LINE = st.binary(max_size=20).filter(lambda line: not set(line) & {10, 13})
EVENT = st.lists(LINE, min_size=1, max_size=4)
ENDING = st.sampled_from([b"\n", b"\r\n", b"\r"])


def feed(chunks: list[bytes], limit: int = 1_000_000) -> list[bytes]:
    decoder = Decoder(limit)
    return [payload for chunk in chunks for payload in decoder.feed(chunk)]


def pieces(whole: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(whole) + 1) for cut in cuts), len(whole)]
    return [whole[start:end] for start, end in pairwise(places)]


@given(st.lists(st.tuples(EVENT, ENDING), max_size=6), st.lists(st.integers(0, 10_000)))
@example([([b"a"], b"\r\n"), ([b"b"], b"\r\n")], list(range(40)))
def test_payloads_survive_any_cut_and_any_line_end(
    events: list[tuple[list[bytes], bytes]], cuts: list[int]
) -> None:
    whole = b"".join(
        b"".join(b"data: " + line + ending for line in lines) + ending for lines, ending in events
    )
    expected = [b"\n".join(lines) for lines, _ in events]
    assert feed(pieces(whole, cuts)) == [payload for payload in expected if payload]


@given(st.binary(max_size=300), st.lists(st.integers(0, 10_000)))
def test_any_bytes_mean_the_same_however_they_are_cut(whole: bytes, cuts: list[int]) -> None:
    assert feed(pieces(whole, cuts)) == feed([whole])


@pytest.mark.parametrize(
    ("stream", "payloads"),
    [
        (b"data:x\n\n", [b"x"]),
        (b"data:  x\n\n", [b" x"]),
        (b"\xef\xbb\xbfdata: x\n\n", [b"x"]),
        (b": a comment\nevent: e\nid: 1\nretry: 5\ndata: x\n\n", [b"x"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"data: a\ndata\n\n", [b"a\n"]),
        (b"data:\n\n", []),
        (b"dataset: x\n\n", []),
        (b"\n\n\n", []),
        (b"data: never finished\n", []),
    ],
)
def test_lines_mean_what_the_standard_says(stream: bytes, payloads: list[bytes]) -> None:
    assert feed([stream]) == payloads
    assert feed([bytes([byte]) for byte in stream]) == payloads


@pytest.mark.parametrize("field", [b"data: ", b": ", b"event: "])
@pytest.mark.parametrize("size", [1, 7, 64, 5000])
def test_a_line_without_end_is_given_up(field: bytes, size: int) -> None:
    line = field + b"x" * 3000 + b"\n\n"
    chunks = [line[place : place + size] for place in range(0, len(line), size)]
    with pytest.raises(LineTooLong):
        feed(chunks, limit=1000)


def test_an_event_without_end_is_given_up() -> None:
    with pytest.raises(LineTooLong):
        feed([b"data: xxxxxxxxx\n"] * 1000, limit=1000)
