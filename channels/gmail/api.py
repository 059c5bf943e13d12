"""The few things that are asked of Gmail, and what its answers mean.

Google's library blocks, and repeats calls without looking at what the server asked for; so each
call has a thread of its own, and nothing is repeated here.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any, TypeVar, overload
from urllib.parse import urlsplit

import google_auth_httplib2
import httplib2
import msgspec
from google.auth.exceptions import RefreshError, TransportError
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError

from channels.gmail.calls import Calls
from channels.gmail.lines import Lines
from channels.gmail.settings import GmailSettings
from channels.pacing import wish
from opencraw.errors import AccountRefused, NotFound, Refused, SlowDown, Unavailable

_MOST_CALLS = 4
_ME = "me"
#: Google names the quota, and seldom when it is free again.
_SLOW_SECONDS = 30.0
#: Whatever it asks for: at once would be again.
_SHORTEST_PAUSE = 1.0
#: Letters that are decoded at a time; four of them are three bytes.
_PIECE = 1_000_000
_LIMITS = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded"})
_NEXT_STEP = "runbooks/channel-gmail.md tells how to give it access again"

Json = dict[str, Any]
T = TypeVar("T")


class Lost(Unavailable):
    """The connection broke after the question had left: it may have been answered."""


class Body(msgspec.Struct, rename="camel"):
    """What a part holds. An id is good for the answer that it came with."""

    attachment_id: str = ""
    size: int = 0
    data: str = ""


class Part(msgspec.Struct, rename="camel"):
    """A part of a mail as Google tells it: its body comes along, or has an id of its own."""

    part_id: str = ""
    mime_type: str = ""
    filename: str = ""
    body: Body = msgspec.field(default_factory=Body)
    parts: tuple[Part, ...] = ()

    def find(self, part_id: str) -> Part | None:
        """The part of this name in here."""
        todo = [self]
        while todo:
            part = todo.pop()
            if part.part_id == part_id:
                return part
            todo += part.parts
        return None


class Named(msgspec.Struct):
    """A mail that is only named."""

    id: str


class _Added(msgspec.Struct):
    message: Named


class Record(msgspec.Struct, rename="camel"):
    """One step of a mailbox's history."""

    id: str
    messages_added: tuple[_Added, ...] = ()


class HistoryPage(msgspec.Struct, rename="camel"):
    """Some steps, each of which may be no `Record`, and how far the history has come."""

    history: tuple[Any, ...] = ()
    history_id: str = ""
    next_page_token: str | None = None


class FoundPage(msgspec.Struct, rename="camel"):
    """Some of the mails that were found."""

    messages: tuple[Named, ...] = ()
    next_page_token: str | None = None


class Profile(msgspec.Struct, rename="camel"):
    """Whose mailbox it is, and how far its history has come."""

    email_address: str
    history_id: str
    messages_total: int | None = None


class _Told(msgspec.Struct):
    """The fields of a mail that are read where it may be large."""

    raw: str = ""
    payload: Part = msgspec.field(default_factory=Part)


@dataclass(frozen=True, slots=True)
class _Asked:
    """Of what Google's library makes questions."""

    users: Any
    messages: Any
    history: Any


class Gmail:
    """One mailbox."""

    def __init__(self, settings: GmailSettings) -> None:
        self._settings = settings
        self._calls = Calls(_MOST_CALLS)
        self._lines = Lines(settings.request_seconds)
        self._asked: _Asked | None = None
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

    def hang_up(self) -> None:
        """Let go of all connections; the next call opens one."""
        self._lines.hang_up()

    async def profile(self) -> Profile:
        """Ask Google who we are."""
        return await self._ask(lambda gmail: gmail.users.getProfile(userId=_ME), Profile)

    async def history(self, since: str, page: str | None) -> HistoryPage:
        """A page of what has been added since. Raises `NotFound` when that is too long ago."""
        return await self._ask(
            lambda gmail: gmail.history.list(
                userId=_ME,
                startHistoryId=since,
                historyTypes=["messageAdded"],
                labelId=self._settings.label,
                maxResults=100,
                pageToken=page,
            ),
            HistoryPage,
        )

    async def search(
        self, query: str, page: str | None = None, *, everywhere: bool = False
    ) -> FoundPage:
        """A page of the mails that are found, the newest first."""
        return await self._ask(
            lambda gmail: gmail.messages.list(
                userId=_ME,
                q=query,
                labelIds=[] if everywhere else [self._settings.label],
                includeSpamTrash=everywhere,
                maxResults=100,
                pageToken=page,
            ),
            FoundPage,
        )

    async def headers(self, mail_id: str) -> Json:
        """A mail without what it says."""
        return await self._ask(
            lambda gmail: gmail.messages.get(userId=_ME, id=mail_id, format="metadata")
        )

    async def whole(self, mail_id: str) -> bytes:
        """A mail as it was sent."""
        told = await self._ask(
            lambda gmail: gmail.messages.get(userId=_ME, id=mail_id, format="raw", fields="raw"),
            _Told,
        )
        return decoded(told.raw)

    async def parts(self, mail_id: str) -> Part:
        """What a mail is made of, without what lies in its files."""
        told = await self._ask(
            lambda gmail: gmail.messages.get(
                userId=_ME, id=mail_id, format="full", fields="payload"
            ),
            _Told,
        )
        return told.payload

    async def attachment(self, mail_id: str, attachment_id: str) -> bytes:
        """What lies in one file of a mail."""
        body = await self._ask(
            lambda gmail: gmail.messages.attachments().get(
                userId=_ME, messageId=mail_id, id=attachment_id
            ),
            Body,
        )
        return decoded(body.data)

    async def mark_read(self, mail_id: str) -> None:
        """Take the mark of a new mail away."""
        body = {"removeLabelIds": ["UNREAD"]}
        await self._ask(lambda gmail: gmail.messages.modify(userId=_ME, id=mail_id, body=body))

    async def send(self, data: bytes, thread: str) -> str:
        """Send a mail in a thread, if one is named; returns Google's id of it."""
        body = {"raw": base64.urlsafe_b64encode(data).decode()}
        if thread:
            body["threadId"] = thread
        message = await self._ask(lambda gmail: gmail.messages.send(userId=_ME, body=body), Named)
        return message.id

    @overload
    async def _ask(self, question: Callable[[_Asked], Any]) -> Json: ...

    @overload
    async def _ask(self, question: Callable[[_Asked], Any], kind: type[T]) -> T: ...

    async def _ask(self, question: Callable[[_Asked], Any], kind: Any = Json) -> Any:
        return await self._calls.make(lambda: self._execute(question, kind))

    def _execute(self, question: Callable[[_Asked], Any], kind: Any) -> Any:
        """On a thread of its own."""
        try:
            if self._asked is None:
                self._asked = _ready(self._settings.api_url)
            request = question(self._asked)
            # The library makes a text of all that came before it reads it; mails are large.
            request.postproc = lambda _, said: msgspec.json.decode(said, type=kind)
            with self._lines.line() as line:
                http = google_auth_httplib2.AuthorizedHttp(self._credentials, http=line)
                return request.execute(http=http, num_retries=0)
        except HttpError as error:
            raise _meaning(error) from error
        except RefreshError as error:
            raise _refresh_failed(error) from error
        except (TransportError, ConnectionRefusedError, httplib2.ServerNotFoundError) as error:
            raise Unavailable(f"Gmail cannot be reached: {error}") from error
        except (OSError, httplib2.HttpLib2Error, ValueError, msgspec.MsgspecError) as error:
            host = urlsplit(self._settings.api_url).hostname
            raise Lost(f"{host} did not answer: {error or type(error).__name__}") from error


def decoded(letters: str) -> bytes:
    """What Google wrote as letters, without a second copy of it."""
    data = BytesIO()
    for start in range(0, len(letters), _PIECE):
        data.write(base64.urlsafe_b64decode(letters[start : start + _PIECE] + "=="))
    return data.getvalue()


def _ready(api_url: str) -> _Asked:
    service = build(
        "gmail",
        "v1",
        # What speaks to Google is given along with each call.
        http=httplib2.Http(),
        static_discovery=True,
        cache_discovery=False,
        client_options={"api_endpoint": api_url},
    )
    users = service.users()
    return _Asked(users, users.messages(), users.history())


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
        return SlowDown(text, retry_after=_pause(error))
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


def _pause(error: HttpError) -> float:
    asked = wish(error.resp.get("retry-after"))
    return _SLOW_SECONDS if asked is None else max(asked, _SHORTEST_PAUSE)
