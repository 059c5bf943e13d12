"""Gmail on a port of its own. What it takes is what Google's bundled discovery document allows: the
routes, their parameters and the fields of what is sent are generated from there."""

from __future__ import annotations

import asyncio
import base64
import email
import itertools
import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from email import policy
from email.message import EmailMessage
from functools import cache
from pathlib import Path
from typing import Any

import googleapiclient
from aiohttp import web

from tests.fakes.gmail_parts import part
from tests.fakes.serving import Service
from tests.fixtures.core import until

ACCESS = "access-token"
REFRESH = "refresh-token"

#: What becomes of this request: an error, or "lost" to break the connection once it is done.
FAULT = web.RequestKey("FAULT", object)

Json = dict[str, Any]
Handler = Callable[[web.Request, Json], Any]


@cache
def discovery() -> Json:
    folder = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"
    document: Json = json.loads((folder / "gmail.v1.json").read_text())
    return document


def methods(resource: Json) -> list[Json]:
    """Every method of a resource and of those below it."""
    inner = [each for below in resource.get("resources", {}).values() for each in methods(below)]
    return [*resource.get("methods", {}).values(), *inner]


class GmailError(Exception):
    """An answer as Google words it."""

    def __init__(self, status: int, reason: str, message: str = "", retry_after: str = "") -> None:
        super().__init__(message or reason)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after

    def response(self) -> web.Response:
        body = {
            "error": {
                "code": self.status,
                "message": str(self),
                "errors": [{"message": str(self), "domain": "global", "reason": self.reason}],
                "status": self.reason,
            }
        }
        headers = {"Retry-After": self.retry_after} if self.retry_after else {}
        return web.json_response(body, status=self.status, headers=headers)


@dataclass
class Stored:
    """A mail in the mailbox."""

    id: str
    thread: str
    data: bytes
    labels: list[str]
    history: int
    at: float = field(default_factory=time.time)

    @property
    def message(self) -> EmailMessage:
        parsed = email.message_from_bytes(self.data, policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        return parsed

    def about(self) -> Json:
        return {"id": self.id, "threadId": self.thread, "labelIds": self.labels}


class GmailServer(Service):
    """Use as `async with`."""

    def __init__(self, address: str) -> None:
        super().__init__(0, None)
        self.address = address
        self.mails: list[Stored] = []
        #: Headers that are handed out as Google decodes them, by the mail's id.
        self.decoded: dict[str, dict[str, str]] = {}
        #: Mails that are handed out in another shape than Google describes.
        self.odd: set[str] = set()
        #: Mails that history tells of in another shape.
        self.garbled: set[str] = set()
        #: Mails that are not handed out in a format, and what is said instead.
        self.kept: dict[tuple[str, str], GmailError] = {}
        #: Mails whose parts Google counts from their end.
        self.twisted: set[str] = set()
        #: What history names more than once.
        self.again: list[tuple[int, Stored]] = []
        #: When history first named each mail.
        self.handed_out: dict[str, float] = {}
        #: What lies in files, by the ids that were given out for it.
        self.attachments: dict[str, bytes] = {}
        #: Bytes that were handed out.
        self.weight = 0
        #: From where we were called, one entry a connection.
        self.callers: set[tuple[str, int]] = set()
        #: History before this is forgotten.
        self.oldest = 1
        self.revoked = self.broken = self.silent = False
        #: Set when silence is over.
        self.stir = asyncio.Event()
        #: What becomes of the next calls of a method: an error, or None to break the connection
        #: once the call is done.
        self.faults: list[tuple[str, GmailError | None]] = []
        self.gate: Callable[[web.Request], Any] | None = None
        self.calls: list[str] = []
        self.problems: list[str] = []
        self._history = itertools.count(100)
        self._ids = itertools.count(0x1990)
        self._now = next(self._history)
        self._open: list[web.Request] = []
        self.app.middlewares.append(self._weather)
        self.app.router.add_post("/token", self._token)
        self._handlers: dict[str, Handler] = {
            "gmail.users.getProfile": self._profile,
            "gmail.users.history.list": self._list_history,
            "gmail.users.messages.list": self._list,
            "gmail.users.messages.get": self._get,
            "gmail.users.messages.attachments.get": self._attachment,
            "gmail.users.messages.modify": self._modify,
            "gmail.users.messages.send": self._send,
        }
        for method in methods(discovery()):
            path = "/" + re.sub(r"\{\+?(\w+)\}", r"{\1}", method["path"])
            self.app.router.add_route(method["httpMethod"], path, self._serves(method))

    # What tests do.

    def put(self, data: bytes, labels: tuple[str, ...] = ("INBOX", "UNREAD")) -> Stored:
        """A mail comes into the mailbox."""
        parsed = email.message_from_bytes(data, policy=policy.compat32)
        before = f"{parsed.get('References', '')} {parsed.get('In-Reply-To', '')}".split()
        number = f"{next(self._ids):x}"
        thread = next(
            (
                mail.thread
                for mail in self.mails
                if str(mail.message["Message-ID"]).strip() in before
            ),
            number,
        )
        self._now = next(self._history)
        stored = Stored(number, thread, data, list(labels), self._now)
        self.mails.append(stored)
        return stored

    def tell_again(self, mail: Stored) -> None:
        """History names a mail once more."""
        self._now = next(self._history)
        self.again.append((self._now, mail))

    def forget(self) -> None:
        """History begins now."""
        self._now = self.oldest = next(self._history)

    def break_all(self) -> None:
        """Break every connection that waits for us."""
        for request in list(self._open):
            if request.transport is not None:
                request.transport.abort()

    async def hang_up(self) -> None:
        """End every connection that nobody uses at the moment."""
        server = self._runner.server
        assert server is not None
        for connection in server.connections:
            connection.force_close()
        await until(lambda: not server.connections, "all have ended")

    # What a client sees.

    @web.middleware
    async def _weather(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self._open.append(request)
        assert request.transport is not None
        self.callers.add(request.transport.get_extra_info("peername"))
        try:
            if self.broken:
                return _broken(request)
            if self.silent:
                await self.stir.wait()
            if self.gate is not None:
                await self.gate(request)
            response: web.StreamResponse = await handler(request)
            return response
        finally:
            self._open.remove(request)

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        if self.revoked or form.get("refresh_token") != REFRESH:
            body = {"error": "invalid_grant", "error_description": "Token has been revoked."}
            return web.json_response(body, status=400)
        token = {"access_token": ACCESS, "expires_in": 3599, "token_type": "Bearer"}
        return web.json_response(token)

    def _serves(self, method: Json) -> Callable[[web.Request], Any]:
        async def serve(request: web.Request) -> web.StreamResponse:
            self.calls.append(method["id"])
            try:
                self._is_known(request)
                body = await self._body(request, method)
                fault = request.get(FAULT) or self._fault(method["id"])
                if isinstance(fault, GmailError):
                    return fault.response()
                asked = request.match_info.get("id", ""), request.query.get("format", "")
                if error := self.kept.get(asked):
                    return error.response()
                handler = self._handlers.get(method["id"])
                if handler is None:
                    raise GmailError(501, "notImplemented", method["id"])
                answer = handler(request, body)
            except GmailError as error:
                if error.status in (400, 501):
                    self.problems.append(f"{method['id']}: {error}")
                return error.response()
            if fault == "lost":
                return _broken(request)
            response = web.json_response(answer)
            self.weight += response.content_length or 0
            return response

        return serve

    def _is_known(self, request: web.Request) -> None:
        if self.revoked or request.headers.get("Authorization") != f"Bearer {ACCESS}":
            raise GmailError(401, "authError", "Invalid Credentials")

    async def _body(self, request: web.Request, method: Json) -> Json:
        allowed = {
            name
            for name, parameter in method.get("parameters", {}).items()
            if parameter["location"] == "query"
        } | set(discovery()["parameters"])
        for name in request.query:
            if name not in allowed:
                raise GmailError(400, "badRequest", f"unknown parameter {name}")
        for name, parameter in method.get("parameters", {}).items():
            values = parameter.get("enum")
            if values and any(each not in values for each in request.query.getall(name, [])):
                raise GmailError(400, "badRequest", f"{name} is none of {values}")
        if "request" not in method:
            return {}
        body: Json = await request.json()
        fields = discovery()["schemas"][method["request"]["$ref"]]["properties"]
        for name in body:
            if name not in fields:
                raise GmailError(400, "badRequest", f"unknown field {name}")
        return body

    def _fault(self, method: str) -> GmailError | str | None:
        for position, (name, fault) in enumerate(self.faults):
            if name == method:
                del self.faults[position]
                return fault if fault is not None else "lost"
        return None

    def _found(self, request: web.Request) -> Stored:
        for mail in self.mails:
            if mail.id == request.match_info["id"]:
                return mail
        raise GmailError(404, "notFound", "Requested entity was not found.")

    def _profile(self, _request: web.Request, _body: Json) -> Json:
        return {
            "emailAddress": self.address,
            "messagesTotal": len(self.mails),
            "historyId": str(self._now),
        }

    def _list_history(self, request: web.Request, _body: Json) -> Json:
        since = int(request.query["startHistoryId"])
        if since < self.oldest:
            raise GmailError(404, "notFound", "Requested entity was not found.")
        label = request.query.get("labelId", "")
        told = sorted(
            [(mail.history, mail.id) for mail in self.mails]
            + [(number, mail.id) for number, mail in self.again]
        )
        by_id = {mail.id: mail for mail in self.mails}
        news = [
            (number, by_id[mail_id])
            for number, mail_id in told
            if number > since and (not label or label in by_id[mail_id].labels)
        ]
        for _, mail in news:
            self.handed_out.setdefault(mail.id, time.monotonic())
        found: list[Json | str] = [
            "no record"
            if mail.id in self.garbled
            else {"id": str(number), "messagesAdded": [{"message": mail.about()}]}
            for number, mail in news
        ]
        return self._page(request, "history", found) | {"historyId": str(self._now)}

    def _list(self, request: web.Request, _body: Json) -> Json:
        words = request.query.get("q", "").split()
        labels = request.query.getall("labelIds", [])
        found = [
            {"id": mail.id, "threadId": mail.thread}
            for mail in reversed(self.mails)
            if all(label in mail.labels for label in labels)
            and all(_matches(mail, word) for word in words)
        ]
        return self._page(request, "messages", found) | {"resultSizeEstimate": len(found)}

    def _page(self, request: web.Request, name: str, found: Sequence[Json | str]) -> Json:
        start = int(request.query.get("pageToken", "0"))
        # Small pages, so that whoever reads only the first is found out.
        end = start + min(int(request.query.get("maxResults", "100")), 7)
        more = {"nextPageToken": str(end)} if end < len(found) else {}
        return ({name: found[start:end]} if found[start:end] else {}) | more

    def _get(self, request: web.Request, _body: Json) -> Json:
        mail = self._found(request)
        if mail.id in self.odd:
            return {"id": mail.id, "payload": {"headers": [{"key": "From"}]}}
        answer = mail.about() | {
            "historyId": str(mail.history),
            "internalDate": str(int(mail.at * 1_000)),
            "sizeEstimate": len(mail.data),
        }
        if request.query.get("format") == "raw":
            return answer | {"raw": base64.urlsafe_b64encode(mail.data).decode()}
        if request.query.get("format") == "full":
            payload = part(mail.message, self.attachments)
            if mail.id in self.twisted:
                payload["parts"].reverse()
                for number, each in enumerate(payload["parts"]):
                    each["partId"] = str(number)
            return answer | {"payload": payload}
        parsed = email.message_from_bytes(mail.data, policy=policy.compat32)
        decoded = self.decoded.get(mail.id, {})
        headers = [
            {"name": name, "value": decoded.get(name, str(value))} for name, value in parsed.items()
        ]
        return answer | {"payload": {"headers": headers}}

    def _attachment(self, request: web.Request, _body: Json) -> Json:
        data = self.attachments[request.match_info["id"]]
        return {"size": len(data), "data": base64.urlsafe_b64encode(data).decode()}

    def _modify(self, request: web.Request, body: Json) -> Json:
        mail = self._found(request)
        mail.labels = [each for each in mail.labels if each not in body.get("removeLabelIds", ())]
        return mail.about()

    def _send(self, _request: web.Request, body: Json) -> Json:
        data = base64.urlsafe_b64decode(body["raw"])
        thread = body.get("threadId")
        if thread and all(mail.thread != thread for mail in self.mails):
            raise GmailError(404, "notFound", "Requested entity was not found.")
        stored = self.put(data, ("SENT",))
        if thread and stored.thread != thread:
            raise GmailError(400, "invalidArgument", "References do not lead into that thread")
        return stored.about()


def _matches(mail: Stored, word: str) -> bool:
    name, _, value = word.partition(":")
    if name == "rfc822msgid":
        return str(mail.message["Message-ID"]).strip() == f"<{value}>"
    assert name == "after", word
    return mail.at > int(value)


def _broken(request: web.Request) -> web.StreamResponse:
    """Break the connection; the response that is returned reaches nobody."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
