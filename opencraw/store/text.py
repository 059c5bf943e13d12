"""Text that Postgres takes."""

from __future__ import annotations


def storable(text: str) -> str:
    """`text` with NUL and lone surrogates replaced by U+FFFD.

    Postgres refuses both. One such message in a poll loop would be refused for ever, so whatever
    comes from outside, from people and from models alike, is cleaned before it is written.
    """
    if "\x00" in text:
        text = text.replace("\x00", "\ufffd")
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
