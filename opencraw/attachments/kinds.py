"""What a file is, by its own bytes: what a platform or a name says of it is a claim.

Nothing here decodes a picture or runs a document. A picture's size is read from its header, so that
it can be counted, and one that has none, or no end, is none. Everybody waits meanwhile, so however
large a file is, a bounded number of steps decides.
"""

from __future__ import annotations

import codecs
import struct
from dataclasses import dataclass
from fnmatch import fnmatchcase

from opencraw.errors import Refused
from opencraw.settings import DOCX, AttachmentSettings

#: Types that are handed to models and shown in pages, and nothing else is.
PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
PDF = "application/pdf"
#: Texts of which people see something else than their letters.
PAGES = frozenset({"text/html", "application/xhtml+xml"})
#: Types that are text although their names do not say so.
_TEXTS = frozenset({"application/json", "application/xml", "application/yaml", "application/toml"})
_MEGABYTE = 1_000_000
#: What counts of a picture or an archive lies behind fewer parts of it than this.
_MOST_STEPS = 1_000
#: An archive ends with where its directory is, and a comment.
_LONGEST_ENDING = 22 + 65_535

_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"%PDF-", PDF),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xf3", "audio/mpeg"),
    (b"\xff\xf2", "audio/mpeg"),
    (b"\xff\xf1", "audio/aac"),
    (b"\xff\xf9", "audio/aac"),
    (b"fLaC", "audio/flac"),
    (b"#!AMR", "audio/amr"),
    (b"\x1aE\xdf\xa3", "video/webm"),
    (b"\x7fELF", "application/x-executable"),
    (b"MZ", "application/x-executable"),
    (b"\x1f\x8b", "application/gzip"),
    (b"Rar!", "application/x-rar"),
    (b"7z\xbc\xaf", "application/x-7z-compressed"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_BRANDS = {b"heic": "image/heic", b"heix": "image/heic", b"mif1": "image/heic",
           b"avif": "image/avif", b"M4A ": "audio/mp4"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kind:
    """What a file is. `width` and `height` are there for what can be looked at."""

    content_type: str
    #: By which letters a text is written, if its sender said so.
    charset: str = ""
    width: int = 0
    height: int = 0

    @property
    def is_plain(self) -> bool:
        """Whether it says what its bytes say, with nothing to take apart."""
        return is_text(self.content_type) and self.content_type not in PAGES

    @property
    def is_document(self) -> bool:
        """Whether there is something to read in it."""
        return self.content_type in (PDF, DOCX) or is_text(self.content_type)


def is_text(content_type: str) -> bool:
    """Whether a file of this type is read as it is."""
    return content_type.startswith("text/") or content_type in _TEXTS


def check_claim(content_type: str, size: int | None, settings: AttachmentSettings) -> None:
    """Refuse what need not be fetched: it would be refused anyway. The text is for people."""
    if not settings.max_bytes:
        raise Refused("No files are taken here.")
    if not _is_wanted(content_type, settings):
        raise Refused(f"Files of this type ({_plain(content_type)}) are not taken here.")
    if size is not None:
        check_size(size, settings)


def check_size(size: int, settings: AttachmentSettings) -> None:
    """Refuse a file of so many bytes if that is too many."""
    if size > settings.max_bytes:
        raise Refused(
            f"It has {in_words(size)}, and files may have {in_words(settings.max_bytes)} here."
        )


def kind_of(claimed: str, data: bytes, settings: AttachmentSettings) -> Kind:
    """What a file really is. Raises `Refused` for what is not taken, and for what is not what it
    was said to be."""
    if not data:
        raise Refused("It is empty.")
    check_size(len(data), settings)
    plain, charset = _plain(claimed), claimed.partition("charset=")[2]
    found = _sniffed(data)
    if is_text(plain) and found != PDF and _may_be_text(data):
        # "BMW", "MZ" and "ID3" are words, too.
        found = plain
    if found is None and is_text(plain):
        raise Refused(f"It is said to be a text ({plain}), and is none.")
    if found is None or (_family(plain) in ("image", "audio") and _family(found) != _family(plain)):
        raise Refused(f"It is not what it is said to be ({plain}).")
    if not _is_wanted(found, settings):
        raise Refused(f"Files of this type ({found}) are not taken here.")
    if found not in PICTURES:
        return Kind(found, charset if is_text(found) else "")
    width, height = _pixels(found, data)
    if not (width and height):
        raise Refused(f"It is said to be a picture ({found}), and cannot be read as one.")
    return Kind(found, "", width, height)


def in_words(size: int) -> str:
    """So many bytes, for people."""
    if size >= _MEGABYTE:
        return f"{size / _MEGABYTE:.1f} MB".replace(".0 ", " ")
    return f"{max(round(size / 1000), 1)} kB"


def _plain(content_type: str) -> str:
    return content_type.partition(";")[0].strip()


def _family(content_type: str) -> str:
    """Recordings come in boxes that hold pictures in motion, too."""
    family = content_type.partition("/")[0]
    return "audio" if content_type in ("video/webm", "video/mp4") else family


def _is_wanted(content_type: str, settings: AttachmentSettings) -> bool:
    plain = _plain(content_type)
    if plain == "image/svg+xml":
        # A program that draws, whatever its name says.
        return False
    return any(fnmatchcase(plain, each) for each in settings.types)


def _sniffed(data: bytes) -> str | None:
    for start, content_type in _STARTS:
        if data.startswith(start):
            return content_type
    if data[:4] == b"RIFF":
        return _RIFF.get(data[8:12])
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "video/mp4")
    if data[:4] == b"PK\x03\x04":
        return _archive(data)
    # Some writers put a line of their own before the beginning.
    return PDF if b"%PDF-" in data[:1024] and not _may_be_text(data) else None


def _archive(data: bytes) -> str:
    """Of all archives only a Word document means anything here: its directory, which is at the end,
    names the text. Nothing is unpacked."""
    end = data.rfind(b"PK\5\6", -_LONGEST_ENDING)
    try:
        [size] = struct.unpack("<I", data[end + 12 : end + 16])
        place = max(end - size, 0)
        for _ in range(_MOST_STEPS):
            if data[place : place + 4] != b"PK\1\2":
                break
            name, *more = struct.unpack("<3H", data[place + 28 : place + 34])
            place += 46
            if data[place : place + name] == b"word/document.xml":
                return DOCX
            place += name + sum(more)
    except struct.error:
        pass
    return "application/zip"


def _may_be_text(data: bytes) -> bool:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return True
    return b"\0" not in data


def _pixels(content_type: str, data: bytes) -> tuple[int, int]:
    """Width and height as a picture's header gives them; zeros for one without, and for a picture
    that has no end."""
    try:
        match content_type:
            case "image/png":
                if data[12:16] == b"IHDR" and b"IEND" in data[-4_096:]:
                    width, height = struct.unpack(">II", data[16:24])
                    return width, height
            case "image/gif":
                width, height = struct.unpack("<HH", data[6:10])
                return width, height
            case "image/webp":
                return _webp(data)
            case "image/jpeg":
                return _jpeg(data)
    except (struct.error, IndexError):
        pass
    return 0, 0


def _webp(data: bytes) -> tuple[int, int]:
    chunk = data[12:16]
    if chunk == b"VP8 ":
        width, height = struct.unpack("<HH", data[26:30])
        return width & 0x3FFF, height & 0x3FFF
    if chunk == b"VP8L":
        [bits] = struct.unpack("<I", data[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8X" and len(data) >= 30:
        width = int.from_bytes(data[24:27], "little") + 1
        return width, int.from_bytes(data[27:30], "little") + 1
    return 0, 0


def _jpeg(data: bytes) -> tuple[int, int]:
    place = 2
    for _ in range(_MOST_STEPS):
        if data[place] != 0xFF:
            break
        marker = data[place + 1]
        if marker == 0xFF:
            # Any number of them may stand before a marker.
            place += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[place + 5 : place + 9])
            return width, height
        [size] = struct.unpack(">H", data[place + 2 : place + 4])
        place += 2 + max(size, 2)
    return 0, 0
