"""One request to a model server and its streamed answer, with every way it can go wrong named.

Three clocks: `CONNECT_SECONDS` to get through, the profile's idle timeout for each silence, its
total timeout for everything. Whatever a server sends is a sign of life, pings and comments too:
a reasoning model may think for minutes before its first word. The total timeout bounds those.
"""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import aiohttp
import msgspec

from opencraw.errors import FailureKind, ModelFailure
from opencraw.model import ModelEvent, ModelReply, Prompt, StillWorking
from opencraw.providers.dialect import Body, Dialect
from opencraw.providers.failures import (
    NOTHING_SAID,
    broken,
    classify,
    cut,
    read_complaint,
    refusal,
    retry_after,
)
from opencraw.providers.settings import Profile
from opencraw.providers.sse import Decoder, LineTooLong

CONNECT_SECONDS = 15.0
CONNECTIONS = 512
ERROR_BYTES = 64_000
#: How long a finished answer may keep its connection from the next request.
LINGER_SECONDS = 0.1
_STILL_WORKING = (StillWorking(),)


class HttpProvider:
    """Speaks one dialect over HTTP. Cancelling a stream, or closing it, closes its connection."""

    def __init__(self, profile: Profile, key: str | None, dialect: Dialect) -> None:
        self._profile = profile
        self._key = key
        self._dialect = dialect
        self._session: aiohttp.ClientSession | None = None

    async def stream(self, prompt: Prompt) -> AsyncGenerator[ModelEvent]:
        """Yield deltas as they arrive, then the reply. Raises `ModelFailure` and nothing else.

        Deltas that came in one packet are yielded without going back to the event loop.
        """
        profile = self._profile
        reader, decoder = self._dialect.reader(), Decoder()
        body = io.BytesIO(encoded(self._dialect.translate(prompt)))
        left = profile.max_reply_bytes
        with self._failures_named():
            async with self._connected().post(
                self._dialect.url, data=body, allow_redirects=False
            ) as response:
                await self._expect_stream(response)
                async for chunk in response.content.iter_any():
                    left -= len(chunk)
                    if left < 0:
                        raise broken(
                            profile.label,
                            f"it is longer than max_reply_bytes ({profile.max_reply_bytes:,})",
                        )
                    # Pings mean nothing by themselves, nor do pieces of a tool call.
                    for event in reader.read(decoder.feed(chunk)) or _STILL_WORKING:
                        yield event
                        if isinstance(event, ModelReply):
                            await _release(response)
                            return
                for event in reader.end():
                    yield event

    async def close(self) -> None:
        """Let go of connections; a later request opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={
                    "Content-Type": "application/json",
                    "Accept": "text/event-stream",
                    # Compressed, a small answer could unfold into a huge one.
                    "Accept-Encoding": "identity",
                    "User-Agent": "opencraw",
                    **self._dialect.headers(self._key),
                },
                timeout=aiohttp.ClientTimeout(
                    total=self._profile.total_timeout_seconds,
                    sock_connect=CONNECT_SECONDS,
                    sock_read=self._profile.idle_timeout_seconds,
                ),
                trust_env=False,
            )
        return self._session

    async def _expect_stream(self, response: aiohttp.ClientResponse) -> None:
        """Return if a stream of events follows; else raise what came instead."""
        if response.status == 200 and response.content_type == "text/event-stream":
            return
        label = self._profile.label
        if 300 <= response.status < 400:
            problem = f"it sends requests on to another place (HTTP {response.status})"
            raise ModelFailure(
                FailureKind.FORMAT, f"{label}: {problem}; set base_url to the final address"
            )
        complaint = read_complaint(await _beginning(response))
        explained = response.content_type == "application/json" and complaint != NOTHING_SAID
        if response.status == 200 and not explained:
            raise broken(
                label,
                f"{response.content_type} came instead of an event stream; check base_url, "
                "and whether a proxy or a sign-in page is in between",
            )
        status = 500 if response.status == 200 else response.status
        kind = classify(self._dialect.table, status, complaint)
        wish = retry_after(response.headers, datetime.now(UTC))
        said = complaint.message or f"HTTP {response.status}"
        raise refusal(label, kind, said, retry_after=wish)

    @contextmanager
    def _failures_named(self) -> Iterator[None]:
        """Make every failure inside a `ModelFailure` that does not repeat the key."""
        try:
            yield
        except ModelFailure as failure:
            if self._key is None or self._key not in str(failure):
                raise
            told = str(failure).replace(self._key, "[key]")
            raise ModelFailure(failure.kind, told, retry_after=failure.retry_after) from None
        except LineTooLong as error:
            raise broken(self._profile.label, "one of its lines has no end") from error
        except (aiohttp.ClientError, OSError) as error:
            raise self._translated(error) from error

    def _translated(self, error: aiohttp.ClientError | OSError) -> ModelFailure:
        label, profile = self._profile.label, self._profile
        match error:
            case aiohttp.ConnectionTimeoutError():
                kind, problem = FailureKind.UNREACHABLE, "it does not take the connection"
            case aiohttp.SocketTimeoutError():
                silence = f"it was silent for {profile.idle_timeout_seconds:g} s"
                kind, problem = FailureKind.TIMEOUT, silence
            case TimeoutError():
                late = f"the answer was not complete after {profile.total_timeout_seconds:g} s"
                kind, problem = FailureKind.TIMEOUT, late
            case aiohttp.ClientSSLError():
                kind, problem = FailureKind.UNREACHABLE, "its certificate cannot be trusted"
            case aiohttp.ClientConnectorDNSError():
                kind, problem = FailureKind.UNREACHABLE, f"the name {error.host} is not known"
            case aiohttp.ClientConnectorError():
                reason = error.strerror or "no connection"
                kind, problem = FailureKind.UNREACHABLE, f"{error.host}:{error.port}: {reason}"
            case _:
                return cut(label)
        return ModelFailure(kind, f"{label}: {problem}")


def encoded(body: Body) -> bytes:
    """The request as JSON. Half a character that slipped into a history becomes a question mark:
    no server could read the request otherwise."""
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError:
        return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """As much of an error's body as a person would read."""
    parts: list[bytes] = []
    left = ERROR_BYTES
    while left > 0 and (part := await response.content.read(left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


async def _release(response: aiohttp.ClientResponse) -> None:
    """Wait a moment for the last byte, after which the connection can serve the next request."""
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            if not await response.content.readany():
                return
    except (aiohttp.ClientError, OSError):
        pass  # the answer is complete; only the connection is lost
    response.close()
