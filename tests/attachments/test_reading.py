from __future__ import annotations

import asyncio
import contextlib
import sys

import pytest

from opencraw.attachments.extract import End
from opencraw.attachments.kinds import Kind
from opencraw.attachments.reading import Reader, Reading
from opencraw.attachments.texts import LONGEST_TEXT, MOST_BYTES
from opencraw.errors import Refused, SlowDown
from opencraw.settings import DOCX
from tests.attachments import samples

TEXT, PDF, WORD = Kind("text/plain"), Kind("application/pdf"), Kind(DOCX)


@pytest.mark.parametrize(
    ("kind", "data", "text"),
    [
        (TEXT, "schön".encode(), "schön"),
        (TEXT, "schön".encode("utf-16"), "schön"),
        (TEXT, b"\xef\xbb\xbfhi", "hi"),
        (TEXT, "schön".encode("cp1252"), "schön"),
        (Kind("text/plain", "koi8-r"), "привет".encode("koi8-r"), "привет"),
        (Kind("text/plain", "shift_jis"), "日本".encode("shift_jis"), "日本"),
        # Names of encodings that do other things.
        (Kind("text/plain", "zip"), b"plain", "plain"),
        (Kind("text/plain", "unicode_escape"), b"a\\tb", "a\\tb"),
        (Kind("text/plain", "punycode"), b"tda-", "tda-"),
        (Kind("text/html", "punycode"), b"tda-", "tda-"),
        (Kind("application/json"), b'{"a": 1}', '{"a": 1}'),
        (Kind("text/csv"), b"a,b\r\n1,2", "a,b \n1,2"),
        (
            Kind("text/html"),
            b"<head><title>no</title></head><p>One<script>no()</script><p>Two &amp; three",
            "One\nTwo & three",
        ),
        (PDF, samples.pdf("first page", "second page"), "first page\n\nsecond page"),
        (WORD, samples.docx("One", "Two"), "One\nTwo"),
        (WORD, samples.nested_docx(), "only this is read"),
        (TEXT, b"a\x1b[31mb\x00c", "a [31mb c"),
    ],
)
async def test_documents_are_read(kind: Kind, data: bytes, text: str) -> None:
    reading = await Reader().read(kind, data)
    assert (reading.text.strip(), reading.cut) == (text, False)


@pytest.mark.parametrize(
    ("kind", "data", "why"),
    [
        (PDF, samples.locked_pdf(), "encrypted"),
        (PDF, b"%PDF-1.7 and nothing else", "broken"),
        (PDF, samples.looping_pdf(), "broken|too long"),
        (WORD, b"PK\x03\x04 and nothing else", "broken"),
        (WORD, samples.word("<w:document"), "broken"),
        (WORD, samples.entity_docx(), "broken"),
        (WORD, samples.defining_docx(), "broken"),
        (WORD, samples.swelling_docx(), "unpacks"),
    ],
)
async def test_what_cannot_be_read_is_one_sentence(kind: Kind, data: bytes, why: str) -> None:
    with pytest.raises(Refused, match=why) as refused:
        await Reader(8.0).read(kind, data)
    assert "\n" not in str(refused.value)


HUNGRY = """
from opencraw.attachments import extract

def pieces(content_type, charset, data):
    return [str(len(bytearray(1_500_000_000)))]

extract.pieces = pieces
raise SystemExit(extract.main("text/plain", ""))
"""


async def test_a_reader_gets_no_more_memory_than_it_may_have() -> None:
    reader = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HUNGRY, stdin=asyncio.subprocess.DEVNULL
    )
    assert await reader.wait() == End.BROKEN


async def test_a_page_that_swells_takes_neither_memory_nor_time() -> None:
    data = samples.swelling_pdf()
    assert len(data) < 2_000_000
    began = asyncio.get_running_loop().time()
    try:
        reading: Reading | None = await Reader(6.0).read(PDF, data)
    except Refused:
        reading = None
    assert reading is None or len(reading.text) <= LONGEST_TEXT
    assert asyncio.get_running_loop().time() - began < 30


async def test_a_long_document_is_cut_and_says_so() -> None:
    reading = await Reader().read(TEXT, b"x" * 20_000_000)
    assert (len(reading.text), reading.cut) == (LONGEST_TEXT, True)
    short = await Reader().read(TEXT, b"x" * LONGEST_TEXT)
    assert (len(short.text), short.cut) == (LONGEST_TEXT, False)


@pytest.mark.parametrize("charset", ["utf-8", "utf-16-le", "utf-32", "shift_jis", "gb18030"])
async def test_a_long_text_may_be_cut_within_a_character(charset: str) -> None:
    for offset in range(4):
        # Each of them has more bytes than are looked at, and another place where that ends.
        data = ("x" * offset + "日" * MOST_BYTES).encode(charset)
        reading = await Reader().read(Kind("text/plain", charset), data)
        assert reading.text.startswith("x" * offset + "日日")
        assert (set(reading.text[offset:]), reading.cut) == ({"日"}, True)


@pytest.mark.parametrize("charset", ["punycode", "idna", "utf-7", "hz", "unicode_escape"])
async def test_no_text_takes_longer_than_it_is_long(charset: str) -> None:
    async with asyncio.timeout(5):
        await Reader(60.0).read(Kind("text/plain", charset), b"xn--a-" + b"a9" * 5_000_000)


async def test_a_plain_text_waits_for_nobody() -> None:
    reader = Reader()
    async with reader.place("one"), reader.place("other"), asyncio.timeout(5):
        assert await reader.read(TEXT, b"hi", "me") == Reading("hi")


async def test_nobody_has_two_places() -> None:
    """Whoever sends many documents waits behind the one of somebody else."""
    reader, order = Reader(), list[str]()

    async def read(whose: str) -> None:
        async with reader.place(whose):
            order.append(whose)
            await asyncio.sleep(0)

    async with reader.place("another"):
        many = [asyncio.create_task(read("guest")) for _ in range(10)]
        await asyncio.sleep(0)
        await asyncio.gather(read("owner"), *many)
    assert order.index("owner") <= 1


async def test_whoever_waits_too_long_for_a_place_hears_that_others_are_read() -> None:
    reader = Reader(patience=0.05)
    async with reader.place("one"), reader.place("other"):
        with pytest.raises(SlowDown, match="Too many documents are being read"):
            await reader.read(PDF, samples.pdf("page"), "me")
    assert (await reader.read(PDF, samples.pdf("page"), "me")).text.strip() == "page"


async def test_a_document_without_an_end_is_known_by_its_beginning() -> None:
    """The reader is stopped in the middle, and what it had found is kept."""
    pages = samples.pdf(*(f"page {number}" for number in range(3_000)))
    reading = None
    for seconds in (1.0, 2.0, 4.0, 8.0, 16.0):
        # On a busy machine it may not have come to the first page.
        with contextlib.suppress(Refused):
            reading = await Reader(seconds).read(PDF, pages)
            break
    assert reading is not None
    assert reading.cut
    assert reading.text.startswith("page 0")


async def test_a_reader_that_is_not_waited_for_any_more_ends() -> None:
    reading = asyncio.ensure_future(Reader().read(PDF, samples.pdf(*["page"] * 900)))
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_a_reader_knows_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "secret")
    given: list[object] = []
    create = asyncio.create_subprocess_exec

    async def noting(*arguments: object, **more: object) -> object:
        given.append(more["env"])
        return await create(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", noting)
    await Reader().read(TEXT, b"hi")
    assert "secret" not in str(given)
