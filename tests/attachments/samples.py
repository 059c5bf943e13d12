"""Files to send: good ones, and what somebody might send instead."""

from __future__ import annotations

import io
import itertools
import struct
import zipfile
import zlib

import pypdf

from opencraw.settings import DOCX

_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def png(width: int = 4, height: int = 3, *, more: bytes = b"") -> bytes:
    """A picture of one colour."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    rows = zlib.compress((b"\0" + b"\x40\x80\xc0" * width) * height)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n"
    return start + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + more + chunk(b"IEND", b"")


def gif(width: int = 2, height: int = 2) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\0\0\0;"


def jpeg(width: int = 20, height: int = 10) -> bytes:
    app = b"\xff\xe0" + struct.pack(">H", 4) + b"JF"
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\1\x11\0"
    return b"\xff\xd8" + app + frame + b"\xff\xda\0\0\xff\xd9"


def webp(width: int = 7, height: int = 9) -> bytes:
    sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunk = b"VP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + sizes
    return b"RIFF" + struct.pack("<I", len(chunk) + 4) + b"WEBP" + chunk


def pdf(*pages: str) -> bytes:
    """A document of plain pages."""
    writer = pypdf.PdfWriter()
    for text in pages:
        page = writer.add_blank_page(300, 300)
        _write(writer, page, f"BT /F1 12 Tf 20 200 Td ({text}) Tj ET".encode())
    return _saved(writer)


def locked_pdf() -> bytes:
    writer = pypdf.PdfWriter()
    writer.add_blank_page(100, 100)
    writer.encrypt("a password", algorithm="RC4-128")
    return _saved(writer)


def looping_pdf() -> bytes:
    """A page whose tree of pages holds itself."""
    return (
        b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
        b"2 0 obj<</Type/Pages/Kids[2 0 R 2 0 R]/Count 2>>endobj\n"
        b"trailer<</Root 1 0 R/Size 3>>\n%%EOF"
    )


def swelling_pdf(packed: int = 200_000_000) -> bytes:
    """A page whose few bytes unpack to very many."""
    writer = pypdf.PdfWriter()
    page = writer.add_blank_page(100, 100)
    _write(writer, page, b"(x) Tj " * (packed // 7), pack=True)
    return _saved(writer)


def _write(
    writer: pypdf.PdfWriter, page: pypdf.PageObject, content: bytes, *, pack: bool = False
) -> None:
    from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

    stream = DecodedStreamObject()
    stream.set_data(content)
    page[NameObject("/Contents")] = writer._add_object(stream.flate_encode() if pack else stream)
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
        }
    )
    fonts = DictionaryObject({NameObject("/F1"): font})
    page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})


def _saved(writer: pypdf.PdfWriter) -> bytes:
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


def docx(*paragraphs: str) -> bytes:
    body = "".join(f"<w:p><w:r><w:t>{each}</w:t></w:r></w:p>" for each in paragraphs)
    return word(f'<w:document xmlns:w="{_WORD}"><w:body>{body}</w:body></w:document>')


def entity_docx() -> bytes:
    """A billion laughs."""
    names = "abcdefgh"
    entities = '<!ENTITY a "ha">' + "".join(
        f'<!ENTITY {new} "{f"&{old};" * 10}">' for old, new in itertools.pairwise(names)
    )
    return word(
        f"<!DOCTYPE d [{entities}]>"
        f'<w:document xmlns:w="{_WORD}"><w:p><w:r><w:t>&h;</w:t></w:r></w:p></w:document>'
    )


def defining_docx() -> bytes:
    """One entity, and a small one: it is not its size that is refused."""
    return word(
        '<!DOCTYPE d [<!ENTITY a "ha">]>'
        f'<w:document xmlns:w="{_WORD}"><w:p><w:r><w:t>&a;</w:t></w:r></w:p></w:document>'
    )


def swelling_docx() -> bytes:
    """A document whose text packs a thousand to one."""
    return word(f'<w:document xmlns:w="{_WORD}">{" " * 40_000_000}</w:document>')


def nested_docx() -> bytes:
    """A document that brings archives along; nobody opens them."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", b"\0" * 10_000_000)
    document = io.BytesIO(docx("only this is read"))
    with zipfile.ZipFile(document, "a") as archive:
        for number in range(50):
            archive.writestr(f"word/embeddings/{number}.zip", inner.getvalue())
    return document.getvalue()


def word(document: str) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", document)
    return written.getvalue()


__all__ = ["DOCX"]
