"""Answers of platforms, read up to a bound that is counted in bytes as they come.

We ask for answers that are not compressed, and read no other: a megabyte could become gigabytes in
one step, before anybody could count.
"""

from __future__ import annotations

import aiohttp

LARGEST_ANSWER = 8 * 1024 * 1024
#: What a request says, so that nobody honest has to compress.
PLAIN = {"Accept-Encoding": "identity"}
_CHUNK = 64 * 1024


def is_plain(encoding: str) -> bool:
    """Whether an answer whose `Content-Encoding` is this may be read."""
    return encoding.strip().lower() in {"", "identity"}


class BoundedResponse(aiohttp.ClientResponse):
    """An answer that a library reads as a whole. Its session must not unpack by itself."""

    _refused: aiohttp.ClientPayloadError | None = None

    async def read(self) -> bytes:
        """All of it. Raises `aiohttp.ClientPayloadError` for an answer that is too large."""
        if self._refused is not None:
            raise self._refused
        if self._body is None:
            try:
                self._body = await self._counted()
            except aiohttp.ClientPayloadError as error:
                # Whoever asks a second time for what was refused hears the same.
                self._refused = error
                self.close()
                raise
            except BaseException:
                self.close()
                raise
        return self._body

    async def _counted(self) -> bytes:
        if not is_plain(self.headers.get("Content-Encoding", "")):
            raise aiohttp.ClientPayloadError("The answer is compressed, though nobody asked for it")
        read = bytearray()
        async for chunk in self.content.iter_chunked(_CHUNK):
            read += chunk
            if len(read) > LARGEST_ANSWER:
                raise aiohttp.ClientPayloadError(f"The answer has over {LARGEST_ANSWER:,} bytes")
        return bytes(read)
