"""Linear's API as we call it: one question, one answer, and what each failure means."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
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
from yarl import URL

from channels.bounded import PLAIN, BoundedResponse, download
from channels.linear.settings import LinearSettings
from channels.pacing import wish, wish_until
from opencraw.errors import (
    AccountRefused,
    DeliveryFailure,
    MaybeSent,
    NeverSendable,
    NotSent,
    Refused,
)

#: Linear said that it is too much, and not for how long.
_USUAL_PAUSE = 30.0
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
        key = settings.api_key.get_secret_value().strip()
        # Keys are sent as they are; what an application was granted is a bearer's token.
        self._authorization = key if key.startswith("lin_api_") else f"Bearer {key}"
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
        connection = self._idle.pop() if self._idle else _Connection(self._url, self._authorization)
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
        headers = {"Authorization": self._authorization}
        return await download(URL(url), limit, platform="Linear", headers=headers)


class _Connection:
    """One connection of the library, opened by its first question."""

    def __init__(self, url: str, authorization: str) -> None:
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
            request = GraphQLRequest(_parsed(question), variable_values=dict(variables))
            return await self._session.execute(request)

    async def close(self) -> None:
        if self._session is not None:
            self._session = None
            await self._client.close_async()  # type: ignore[no-untyped-call]


@cache
def _parsed(question: str) -> GraphQLRequest:
    """One of our few questions, which the library would take apart each time it is asked."""
    return GraphQLRequest(question)


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
    wishes = [wish(found.get("retry-after"), now=now)]
    for remaining, reset in _RESETS:
        if found.get(remaining.lower()) == "0":
            wishes.append(wish_until(found.get(reset.lower()), now=now))
    return max((each for each in wishes if each is not None), default=_USUAL_PAUSE)


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
