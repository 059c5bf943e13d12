"""Answers of platforms, read up to a bound that is counted in bytes as they come.

We ask for answers that are not compressed, and read no other: a megabyte could become gigabytes in
one step, before anybody could count.
"""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp
from yarl import URL

from opencraw.errors import NotFound, Refused, Unavailable

LARGEST_ANSWER = 8 * 1024 * 1024
#: What a request says, so that nobody honest has to compress.
PLAIN = {"Accept-Encoding": "identity"}
_CHUNK = 64 * 1024
_FILE_SECONDS = 60.0
_CONNECT_SECONDS = 10.0
#: What is answered for a file that is not to be had any more.
_GONE = frozenset({403, 404, 410})


def is_plain(encoding: str) -> bool:
    """Whether an answer whose `Content-Encoding` is this may be read."""
    return encoding.strip().lower() in {"", "identity"}


class BoundedResponse(aiohttp.ClientResponse):
    """An answer that a library reads as a whole."""

    _refused: aiohttp.ClientPayloadError | None = None

    async def read(self) -> bytes:
        """All of it. Raises `aiohttp.ClientPayloadError` for an answer that is too large."""
        if self._refused is not None:
            raise self._refused
        if self._body is None:
            try:
                self._body = await read(self, LARGEST_ANSWER)
            except Refused as error:
                # Whoever asks a second time for what was refused hears the same.
                self._refused = aiohttp.ClientPayloadError(f"The answer is refused. {error}")
                self.close()
                raise self._refused from error
            except BaseException:
                self.close()
                raise
        return self._body


def bounding() -> aiohttp.TraceConfig:
    """Has the sessions of a library that makes them itself ask for plain answers, and read no
    others."""
    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(_ask_for_plain)
    trace.on_request_end.append(_bound)
    return trace


async def _ask_for_plain(
    _session: object, _context: object, begun: aiohttp.TraceRequestStartParams
) -> None:
    begun.headers.update(PLAIN)


async def _bound(_session: object, _context: object, end: aiohttp.TraceRequestEndParams) -> None:
    # No other way leads into such a session. What it unpacks before this it unpacks in small steps.
    end.response.__class__ = BoundedResponse


async def read(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The body of an answer. Raises `Refused` for one that is compressed, or has more than `most`
    bytes."""
    if not is_plain(response.headers.get("Content-Encoding", "")):
        raise Refused("It is compressed, though nobody asked for that.")
    body = bytearray()
    if (response.content_length or 0) <= most:
        async for chunk in response.content.iter_chunked(_CHUNK):
            body += chunk
            if len(body) > most:
                break
        else:
            return bytes(body)
    raise Refused(f"It is larger than {most:,} bytes.")


async def download(
    url: URL,
    most: int,
    *,
    platform: str,
    headers: Mapping[str, str] | None = None,
    trust_env: bool = False,
) -> bytes:
    """A file that a platform keeps at an address of its own, at most so many bytes. No redirect is
    followed: where else it leads is chosen by others. `trust_env` goes by way of the environment's
    proxies, as some libraries do. Raises `NotFound`, `Refused` and `Unavailable`, whose words never
    hold the address, since that may hold a secret."""
    patience = aiohttp.ClientTimeout(total=_FILE_SECONDS, sock_connect=_CONNECT_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(
                timeout=patience, auto_decompress=False, trust_env=trust_env
            ) as session,
            session.get(
                url, headers={**(headers or {}), **PLAIN}, allow_redirects=False
            ) as response,
        ):
            if response.status in _GONE:
                raise NotFound(f"{platform} does not have the file any more.")
            if 300 <= response.status < 400:
                raise Refused(f"{platform} says that the file is somewhere else.")
            if response.status != 200:
                raise Unavailable(f"{platform} answers {response.status} for the file.")
            return await read(response, most)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise Unavailable(
            f"{platform} does not hand out the file: {type(error).__name__}"
        ) from None
