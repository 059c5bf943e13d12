"""The few things that are asked of Gmail, and what its answers mean.

Google's library blocks, is not safe to share between threads, and repeats calls without looking at
what the server asked for; so each call has a connection of its own, and nothing is repeated here.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from errno import ECONNRESET
from math import isnan
from typing import Any
from urllib.parse import urlsplit

import google_auth_httplib2
import httplib2
from google.auth.exceptions import RefreshError, TransportError
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError

from channels.gmail.calls import Calls
from channels.gmail.settings import GmailSettings
from opencraw.errors import AccountRefused, NotFound, Refused, SlowDown, Unavailable

_MOST_CALLS = 4
_ME = "me"
#: Google names the quota, and seldom when it is free again.
_SLOW_SECONDS = 30.0
#: Whatever it asks for: at once would be again, and nobody waits for an answer until next year.
_SHORTEST_PAUSE = 1.0
_LONGEST_PAUSE = 600.0
_LIMITS = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded"})
_NEXT_STEP = "runbooks/channel-gmail.md tells how to give it access again"

Json = dict[str, Any]


class Lost(Unavailable):
    """The connection broke after the question had left: it may have been answered."""


class _Once(httplib2.Http):  # type: ignore[misc]  # has no types
    """A connection that sends what it is given once. By itself the library sends again whatever got
    no answer, and a mail would be there twice."""

    def _conn_request(
        self, conn: Any, request_uri: str, method: str, body: Any, headers: Mapping[str, str]
    ) -> Any:
        send = conn.request
        sent = False

        def send_once(*arguments: Any, **named: Any) -> None:
            nonlocal sent
            if sent:
                raise ConnectionResetError(ECONNRESET, "the connection broke before the answer")
            sent = True
            send(*arguments, **named)

        conn.request = send_once
        try:
            return super()._conn_request(conn, request_uri, method, body, headers)
        finally:
            conn.request = send


class Gmail:
    """One mailbox."""

    def __init__(self, settings: GmailSettings) -> None:
        self._settings = settings
        self._calls = Calls(_MOST_CALLS)
        self._service: Any = None
        secret, refresh, access = (
            each.get_secret_value() if each is not None else None
            for each in (settings.client_secret, settings.refresh_token, settings.access_token)
        )
        self._credentials = Credentials(  # type: ignore[no-untyped-call]
            token=None if refresh else access,
            refresh_token=refresh,
            token_uri=settings.token_url,
            client_id=settings.client_id or None,
            client_secret=secret,
        )

    async def profile(self) -> Json:
        """Whose mailbox it is, and how far its history has come."""
        return await self._ask(lambda users: users.getProfile(userId=_ME))

    async def history(self, since: str, page: str | None) -> Json:
        """A page of what has been added since. Raises `NotFound` when that is too long ago."""
        return await self._ask(
            lambda users: users.history().list(
                userId=_ME,
                startHistoryId=since,
                historyTypes=["messageAdded"],
                labelId=self._settings.label,
                maxResults=100,
                pageToken=page,
            )
        )

    async def search(
        self, query: str, page: str | None = None, *, everywhere: bool = False
    ) -> Json:
        """A page of the mails that are found, the newest first."""
        return await self._ask(
            lambda users: users.messages().list(
                userId=_ME,
                q=query,
                labelIds=[] if everywhere else [self._settings.label],
                includeSpamTrash=everywhere,
                maxResults=100,
                pageToken=page,
            )
        )

    async def headers(self, id: str) -> Json:  # noqa: A002 - Google's name for it
        """A mail without what it says."""
        return await self._ask(
            lambda users: users.messages().get(userId=_ME, id=id, format="metadata")
        )

    async def whole(self, id: str) -> bytes:  # noqa: A002 - Google's name for it
        """A mail as it was sent."""
        message = await self._ask(
            lambda users: users.messages().get(userId=_ME, id=id, format="raw")
        )
        return base64.urlsafe_b64decode(message["raw"] + "==")

    async def mark_read(self, id: str) -> None:  # noqa: A002 - Google's name for it
        """Take the mark of a new mail away."""
        body = {"removeLabelIds": ["UNREAD"]}
        await self._ask(lambda users: users.messages().modify(userId=_ME, id=id, body=body))

    async def send(self, data: bytes, thread: str) -> str:
        """Send a mail in a thread, if one is named; returns Google's id of it."""
        body = {"raw": base64.urlsafe_b64encode(data).decode()}
        if thread:
            body["threadId"] = thread
        message = await self._ask(lambda users: users.messages().send(userId=_ME, body=body))
        return str(message["id"])

    async def _ask(self, question: Callable[[Any], Any]) -> Json:
        return await self._calls.make(lambda: self._execute(question))

    def _execute(self, question: Callable[[Any], Any]) -> Json:
        """On a thread of its own."""
        settings = self._settings
        try:
            if self._service is None:
                self._service = build(
                    "gmail",
                    "v1",
                    # What speaks to Google is given along with each call.
                    http=httplib2.Http(),
                    static_discovery=True,
                    cache_discovery=False,
                    client_options={"api_endpoint": settings.api_url},
                )
            line = _Once(timeout=settings.request_seconds)
            line.follow_redirects = False
            http = google_auth_httplib2.AuthorizedHttp(self._credentials, http=line)
            try:
                answer: Json = question(self._service.users()).execute(http=http, num_retries=0)
            finally:
                line.close()
        except HttpError as error:
            raise _meaning(error) from error
        except RefreshError as error:
            raise _refresh_failed(error) from error
        except (TransportError, ConnectionRefusedError, httplib2.ServerNotFoundError) as error:
            raise Unavailable(f"Gmail cannot be reached: {error}") from error
        except (OSError, httplib2.HttpLib2Error, ValueError) as error:
            host = urlsplit(settings.api_url).hostname
            raise Lost(f"{host} did not answer: {error or type(error).__name__}") from error
        return answer


def _refresh_failed(error: RefreshError) -> Exception:
    # The library calls final what a broken proxy says. Final is what Google says in its own words,
    # and what lacks the means to ask.
    text = str(error.args[0])[:200]
    has_reason = len(error.args) > 1 or "necessary fields" in text
    if error.retryable or not has_reason:
        return Unavailable(f"Google gives no access token at the moment: {text}")
    return AccountRefused(f"Google gives us no access to the mailbox ({text}); {_NEXT_STEP}.")


def _meaning(error: HttpError) -> Exception:
    """What an answer means for whoever asked."""
    status = int(error.resp.status)
    reason, said = _reason(error)
    text = f"Gmail said {status} {reason}: {said}"
    if status == 429 or (status == 403 and reason in _LIMITS):
        return SlowDown(text, retry_after=_wish(error.resp))
    if status in (401, 403):
        return AccountRefused(f"{text}; {_NEXT_STEP}.")
    if status == 404:
        return NotFound(text)
    if status >= 500 or status == 408:
        return Unavailable(text)
    return Refused(text)


def _reason(error: HttpError) -> tuple[str, str]:
    try:
        body = json.loads(error.content)["error"]
        details = body.get("errors") or [{}]
        return str(details[0].get("reason") or body.get("status")), str(body.get("message"))[:300]
    except (ValueError, LookupError, TypeError, AttributeError):
        return "without a reason", ""


def _wish(headers: Mapping[str, str]) -> float:
    try:
        wish = float(headers.get("retry-after", ""))
    except ValueError:
        return _SLOW_SECONDS
    return _SLOW_SECONDS if isnan(wish) else min(max(wish, _SHORTEST_PAUSE), _LONGEST_PAUSE)
