from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

import pytest

from opencraw.attachments.kinds import Kind, check_claim, in_words, kind_of
from opencraw.errors import Refused
from opencraw.settings import DOCX, AttachmentSettings
from tests.attachments import samples

ANY = AttachmentSettings()


@pytest.mark.parametrize(
    ("claimed", "data", "kind"),
    [
        ("image/png", samples.png(4, 3), Kind("image/png", "", 4, 3)),
        ("image/gif", samples.gif(2, 5), Kind("image/gif", "", 2, 5)),
        ("image/jpeg", samples.jpeg(20, 10), Kind("image/jpeg", "", 20, 10)),
        ("image/webp", samples.webp(7, 9), Kind("image/webp", "", 7, 9)),
        ("application/pdf", samples.pdf("hello"), Kind("application/pdf")),
        (DOCX, samples.docx("hello"), Kind(DOCX)),
        ("text/plain; charset=koi8-r", "да".encode("koi8-r"), Kind("text/plain", "koi8-r")),
        ("audio/ogg", b"OggS....", Kind("audio/ogg")),
        # A picture of another kind is a picture, and nobody is hurt.
        ("image/png", samples.jpeg(20, 10), Kind("image/jpeg", "", 20, 10)),
    ],
)  # fmt: skip
def test_a_file_is_what_its_bytes_say(claimed: str, data: bytes, kind: Kind) -> None:
    assert kind_of(claimed, data, ANY) == kind


@pytest.mark.parametrize(
    ("claimed", "data", "why"),
    [
        ("image/png", b"<svg onload='alert(1)'/>", "not what it is said to be"),
        ("image/png", b"<html><script>alert(1)</script>", "not what it is said to be"),
        ("image/png", samples.png()[:20], "cannot be read as one"),
        ("image/png", b"\x89PNG\r\n\x1a\n" + b"x" * 100, "cannot be read as one"),
        ("image/jpeg", b"\xff\xd8\xff", "cannot be read as one"),
        ("image/webp", b"RIFF\0\0\0\0WEBPVP8X", "cannot be read as one"),
        ("image/png", samples.pdf("hello"), "not what it is said to be"),
        ("text/plain", b"a\0b", "is none"),
        ("text/plain", b"MZ\x90\0", "not taken here"),
        ("application/pdf", b"PK\x03\x04 nothing", "application/zip"),
        (DOCX, samples.png(), ""),
        ("audio/ogg", b"<html>", "not what it is said to be"),
        ("image/png", b"", "empty"),
    ],
)
def test_what_is_not_what_it_is_said_to_be_is_refused(claimed: str, data: bytes, why: str) -> None:
    if claimed == DOCX:
        # A picture under a document's name is a picture.
        assert kind_of(claimed, data, ANY).content_type == "image/png"
        return
    with pytest.raises(Refused, match=why):
        kind_of(claimed, data, ANY)


def entry(name: bytes) -> bytes:
    """A line of an archive's directory."""
    return b"PK\1\2" + bytes(24) + struct.pack("<H", len(name)) + bytes(16) + name


def directory_end(entries: bytes, comment: bytes = b"") -> bytes:
    place = struct.pack("<IIH", len(entries), 4, len(comment))
    return b"PK\5\6" + bytes(8) + place + comment


@pytest.mark.parametrize(
    "text", ["BMW is a car", "MZ", "ID3 tags", "Rar!", "OggS", "GIF89a is old", "RIFF: a WEBPage"]
)
def test_a_text_is_not_what_its_first_letters_spell(text: str) -> None:
    assert kind_of("text/plain", text.encode(), ANY) == Kind("text/plain")
    # Nobody is shown a document's inside for its text.
    assert kind_of("text/plain", b"%PDF-1.7 of letters", ANY) == Kind("application/pdf")


@pytest.mark.parametrize(
    "picture",
    [
        b"\xff\xd8" + b"\xff" * 300 + samples.jpeg(20, 10)[2:],
        b"\xff\xd8" + b"\xff\xe2\0\x04JF" * 255 + samples.jpeg(20, 10)[2:],
    ],
)
def test_a_picture_is_measured_behind_all_that_is_put_before_it(picture: bytes) -> None:
    assert kind_of("image/jpeg", picture, ANY) == Kind("image/jpeg", "", 20, 10)


@pytest.mark.parametrize("comment", [b"", b"x" * 65_535])
def test_a_document_may_have_hundreds_of_pictures_and_words_behind_it(comment: bytes) -> None:
    entries = entry(b"word/media/picture.png") * 800 + entry(b"word/document.xml")
    data = b"PK\3\4" + entries + directory_end(entries, comment)
    assert kind_of(DOCX, data, ANY) == Kind(DOCX)


@pytest.mark.parametrize(
    ("claimed", "data"),
    [
        ("image/jpeg", b"\xff\xd8" + b"\xff\x01\0\0" * 100_000),
        ("image/jpeg", b"\xff\xd8" + b"\xff" * 400_000),
        (DOCX, b"PK\3\4" + entry(b"a") * 50_000 + directory_end(entry(b"a") * 50_000)),
    ],
)  # fmt: skip
def test_nobody_waits_for_a_file_that_was_made_to_be_waited_for(claimed: str, data: bytes) -> None:
    def look() -> None:
        with suppress(Refused):
            kind_of(claimed, data, ANY)

    assert steps_of(look) < 20_000


def steps_of(work: Callable[[], None]) -> int:
    """How many lines of Python this takes."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def test_a_picture_with_a_page_behind_it_is_a_picture_and_nothing_else() -> None:
    polyglot = samples.png() + b"<html><script>alert(1)</script></html>"
    assert kind_of("text/html", polyglot, ANY).content_type == "image/png"


def test_what_need_not_be_fetched_is_refused_before() -> None:
    check_claim("image/png", None, ANY)
    check_claim("image/png", 10_000_000, ANY)
    for claimed, size, why in (
        ("image/png", 10_000_001, "10 MB"),
        ("image/svg+xml", 5, "svg"),
        ("application/zip", 5, "not taken"),
        ("application/octet-stream", None, "not taken"),
        ("video/mp4", None, "not taken"),
    ):
        with pytest.raises(Refused, match=why):
            check_claim(claimed, size, ANY)
    with pytest.raises(Refused, match="No files"):
        check_claim("image/png", 1, AttachmentSettings(max_bytes=0))


def test_what_comes_is_bounded_however_small_it_was_said_to_be() -> None:
    with pytest.raises(Refused, match="files may have 1 kB"):
        kind_of("image/png", samples.png() + b" " * 2_000, AttachmentSettings(max_bytes=1_000))


def test_sizes_are_words() -> None:
    assert [in_words(each) for each in (1, 999, 1_500, 1_000_000, 12_345_678)] == [
        "1 kB", "1 kB", "2 kB", "1 MB", "12.3 MB",
    ]  # fmt: skip
