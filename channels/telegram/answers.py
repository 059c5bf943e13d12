"""What Telegram answers, counted while the library reads it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx

from channels.bounded import LARGEST_ANSWER, is_plain


class _Counted(httpx.AsyncByteStream):
    """A body that ends with an error where it is too large."""

    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = 0
        async for chunk in self._stream:
            read += len(chunk)
            if read > LARGEST_ANSWER:
                raise httpx.ReadError(f"the answer has over {LARGEST_ANSWER:,} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


async def bound(response: httpx.Response) -> None:
    """Have a response read up to the bound, and a compressed one not at all. For the client's event
    hooks, which are called before the body is read."""
    if not is_plain(response.headers.get("Content-Encoding", "")):
        raise httpx.DecodingError("the answer is compressed, though nobody asked for it")
    assert isinstance(response.stream, httpx.AsyncByteStream)
    response.stream = _Counted(response.stream)
