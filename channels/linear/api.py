"""Linear's API as we call it: one question, one answer, and what each failure means."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from gql import Client, GraphQLRequest
from gql.client import AsyncClientSession
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.exceptions import (
    TransportConnectionFailed,
    TransportError,
    TransportQueryError,
    TransportServerError,
)

from channels.bounded import PLAIN, BoundedResponse
from channels.linear.settings import LinearSettings
from opencraw.errors import (
    AccountRefused,
    DeliveryFailure,
    MaybeSent,
    NeverSendable,
    NotFound,
    NotSent,
    Refused,
    Unavailable,
)

_LONGEST_PAUSE = 3600.0
#: Linear said that it is too much, and not for how long.
_USUAL_PAUSE = 30.0
_CHUNK = 64 * 1024
_RESETS = (
    ("X-RateLimit-Requests-Remaining", "X-RateLimit-Requests-Reset"),
    ("X-RateLimit-Complexity-Remaining", "X-RateLimit-Complexity-Reset"),
)


class Rejected(NeverSendable):
    """Linear understood the question and says no. `code` is its word for that."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class Api:
    """Connections are kept for the next question, one question at a time on each: so the headers
    beside a failure are its own."""

    def __init__(self, settings: LinearSettings) -> None:
        assert settings.api_key is not None
        self._url = settings.graphql_url
        self._uploads = settings.uploads_url
        self._seconds = settings.request_seconds
        self._key = settings.api_key.get_secret_value().strip()
        self._idle: list[_Connection] = []
        self._keeping = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Keep connections meanwhile."""
        self._keeping = True
        try:
            yield
        finally:
            self._keeping = False
            idle, self._idle = self._idle, []
            for connection in idle:
                await connection.close()

    async def ask(self, question: str, **variables: object) -> dict[str, Any]:
        """The answer. Raises `AccountRefused` and `DeliveryFailure`s, `Rejected` among them."""
        connection = self._idle.pop() if self._idle else _Connection(self._url, self._key)
        sound = False
        try:
            answer = await connection.ask(question, variables, self._seconds)
            sound = True
        except TransportQueryError as error:
            sound = True
            raise failure(error.errors or [], connection.headers, time.time()) from error
        except TransportServerError as error:
            raise _of_status(error.code or 0, connection.headers) from error
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotSent(f"Linear cannot be reached: {error}") from error
        except (TransportError, aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _broken(error) from error
        finally:
            if sound and self._keeping:
                self._idle.append(connection)
            else:
                await connection.close()
        return answer

    async def fetch(self, url: str, limit: int) -> bytes:
        """A file from a comment. Raises `Refused`, `NotFound` and `Unavailable`."""
        if not url.startswith(f"{self._uploads.rstrip('/')}/"):
            raise Refused("The file is not in Linear's own store.")
        patience = aiohttp.ClientTimeout(total=60.0)
        headers = {"Authorization": self._key}
        try:
            async with (
                aiohttp.ClientSession(timeout=patience) as http,
                http.get(url, headers=headers, allow_redirects=False) as response,
            ):
                if response.status in {403, 404, 410}:
                    raise NotFound("The file is gone.")
                if 300 <= response.status < 400:
                    raise Refused("The file is not in Linear's own store.")
                if response.status != 200:
                    raise Unavailable(f"Linear answers {response.status}")
                return await _bounded(response, limit)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unavailable(f"Linear does not hand out the file: {error}") from error


class _Connection:
    """One connection of the library, opened by its first question."""

    def __init__(self, url: str, key: str) -> None:
        # Keys are sent as they are; what an application was granted is a bearer's token.
        authorization = key if key.startswith("lin_api_") else f"Bearer {key}"
        self._transport = AIOHTTPTransport(
            url=url,
            headers={"Authorization": authorization, **PLAIN},
            client_session_args={"auto_decompress": False, "response_class": BoundedResponse},
        )
        self._client = Client(transport=self._transport, execute_timeout=None)
        self._session: AsyncClientSession | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        return getattr(self._transport, "response_headers", None) or {}

    async def ask(
        self, question: str, variables: Mapping[str, object], seconds: float
    ) -> dict[str, Any]:
        async with asyncio.timeout(seconds):
            if self._session is None:
                self._session = await self._client.connect_async()  # type: ignore[no-untyped-call]
            request = GraphQLRequest(question, variable_values=dict(variables))
            return await self._session.execute(request)

    async def close(self) -> None:
        if self._session is not None:
            self._session = None
            await self._client.close_async()  # type: ignore[no-untyped-call]


def failure(
    errors: list[Any], headers: Mapping[str, str], now: float
) -> AccountRefused | DeliveryFailure:
    """What Linear's errors mean. Its word for the cause is more to be trusted than the status: too
    many questions have 400."""
    first = errors[0] if errors and isinstance(errors[0], Mapping) else {}
    extensions = first.get("extensions") or {}
    code = str(extensions.get("code", "")).upper()
    said = str(extensions.get("userPresentableMessage") or first.get("message") or code)[:500]
    match code:
        case "RATELIMITED":
            return NotSent(f"Linear: {said}", retry_after=pause(headers, now))
        case "AUTHENTICATION_ERROR":
            return refused(said)
        case "INTERNAL_SERVER_ERROR" | "INTERNAL_ERROR" | "LOCK_TIMEOUT" | "UNKNOWN" | "":
            return MaybeSent(f"Linear: {said}")
        case _:
            return Rejected(f"Linear: {said}", code)


def refused(said: str) -> AccountRefused:
    """An operator has to do something."""
    return AccountRefused(
        f"Linear refuses the API key ({said}). Nothing is lost. Make a new key in Linear under "
        "Settings, Security & access, with the assistant's own account, and start the daemon with "
        "it as LINEAR_API_KEY."
    )


def pause(headers: Mapping[str, str], now: float) -> float:
    """For how many seconds Linear wants no more questions: until the used-up allowance is new."""
    found = {name.lower(): value for name, value in headers.items()}
    waits: list[float] = []
    for remaining, reset in _RESETS:
        left, at = found.get(remaining.lower(), "1"), found.get(reset.lower(), "")
        if left.isdigit() and at.isdigit() and len(at) <= 15 and int(left) == 0:
            waits.append(int(at) / 1000 - now)
    return min(max([*waits, 0.0]) if waits else _USUAL_PAUSE, _LONGEST_PAUSE)


def _of_status(status: int, headers: Mapping[str, str]) -> AccountRefused | DeliveryFailure:
    """An answer that did not come from Linear's API itself, but from what stands before it."""
    if status in {401, 403}:
        return refused(f"status {status}")
    if status == 429:
        return NotSent("Linear asks for a pause", retry_after=pause(headers, time.time()))
    if status == 503:
        return NotSent("Linear takes no questions at the moment")
    if 400 <= status < 500:
        return NeverSendable(f"Linear answers {status}")
    return MaybeSent(f"Linear answers {status}")


def _broken(error: BaseException) -> DeliveryFailure:
    cause = error.__cause__ if isinstance(error, TransportConnectionFailed) else error
    said = str(cause or error) or type(cause or error).__name__
    if isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return NotSent(f"Linear cannot be reached: {said}")
    return MaybeSent(f"Linear: {said}")


async def _bounded(response: aiohttp.ClientResponse, limit: int) -> bytes:
    if (response.content_length or 0) > limit:
        raise Refused(f"The file has more than {limit:,} bytes.")
    read = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        read += chunk
        if len(read) > limit:
            raise Refused(f"The file has more than {limit:,} bytes.")
    return bytes(read)
