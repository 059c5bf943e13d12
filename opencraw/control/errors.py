"""Every way in which a request fails: one list of codes, one shape, one place of translation.

Whatever a handler raises becomes a `Problem` here, and a `Problem` becomes the same envelope on
every route. Programs match on `code`; people read `message`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

import orjson
from aiohttp import web

from opencraw.errors import Forbidden, NotFound, OpenCrawError, Refused, SlowDown, Unavailable


class Category(StrEnum):
    """What kind of answer helps the caller."""

    CLIENT_ERROR = "client_error"
    TRANSIENT = "transient"
    PERMANENT = "permanent"
    RATE_LIMIT = "rate_limit"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Code:
    """What a code stands for. `meaning` is said to people when there is nothing better to say."""

    status: int
    category: Category
    meaning: str


_CLIENT = Category.CLIENT_ERROR
CODES: Mapping[str, Code] = {
    "INVALID_REQUEST": Code(400, _CLIENT, "The request cannot be understood; correct it."),
    "MISSING_FIELD": Code(400, _CLIENT, "A required field is missing; add it."),
    "INVALID_FIELD": Code(400, _CLIENT, "A field has a value that is not allowed; correct it."),
    "INVALID_IDEMPOTENCY_KEY": Code(400, _CLIENT, "The idempotency key is missing or malformed."),
    "missing_or_invalid_org_id": Code(401, _CLIENT, "The header x-org-id is missing or wrong."),
    "missing_bearer_token": Code(
        401, _CLIENT, "This needs a token: send it as `Authorization: Bearer <token>`."
    ),
    "invalid_bearer_token": Code(
        401, _CLIENT, "This token was never issued; take it from the link that the daemon printed."
    ),
    "invalid_signature": Code(
        401, _CLIENT, "Nobody with the secret of both sides has signed this just now."
    ),
    "missing_control_api_auth_config": Code(401, _CLIENT, "No credential is configured."),
    "missing_required_scope": Code(
        403, _CLIENT, "This credential does not reach this far; use one with the scope in details."
    ),
    "FORBIDDEN": Code(403, _CLIENT, "This is not allowed."),
    "HOST_NOT_ALLOWED": Code(
        403,
        _CLIENT,
        "This name is not ours: use our address, or list it in security.allowed_hosts.",
    ),
    "ORIGIN_NOT_ALLOWED": Code(
        403, _CLIENT, "This web page is not ours: open our own, or list security.allowed_origins."
    ),
    "NOT_FOUND": Code(404, _CLIENT, "There is nothing at this address."),
    "WORKFLOW_NOT_FOUND": Code(404, _CLIENT, "There is no such workflow."),
    "EXECUTION_NOT_FOUND": Code(404, _CLIENT, "There is no such execution."),
    "APPROVAL_NOT_FOUND": Code(404, _CLIENT, "There is no such approval."),
    "METHOD_NOT_ALLOWED": Code(405, _CLIENT, "This address does not take this method."),
    "IDEMPOTENCY_KEY_REUSE": Code(
        409, Category.CONFLICT, "This idempotency key was used for something else."
    ),
    "CONFLICT_ERROR": Code(
        409, Category.CONFLICT, "Something changed in the meantime; look again, then retry."
    ),
    "PAYLOAD_TOO_LARGE": Code(413, _CLIENT, "The request is larger than is taken here; send less."),
    "UNSUPPORTED_MEDIA_TYPE": Code(
        415, _CLIENT, "The body must be plain JSON: send `Content-Type: application/json`."
    ),
    "INVALID_WORKFLOW_DEFINITION": Code(422, _CLIENT, "The workflow is not valid."),
    "UPGRADE_REQUIRED": Code(426, _CLIENT, "This address speaks WebSocket only."),
    "RATE_LIMITED": Code(
        429,
        Category.RATE_LIMIT,
        "Too many of these from here; come back when retry_after_ms is over.",
    ),
    "HEADERS_TOO_LARGE": Code(431, _CLIENT, "The headers of the request are too large."),
    "INTERNAL_ERROR": Code(
        500,
        Category.PERMANENT,
        "Something went wrong on our side; the daemon's log has it under this correlation_id.",
    ),
    "STORAGE_ERROR": Code(500, Category.PERMANENT, "The database refused this."),
    "EXECUTION_FAILED": Code(500, Category.PERMANENT, "The execution failed."),
    "NODE_EXECUTION_FAILED": Code(500, Category.PERMANENT, "A step of the execution failed."),
    "SERVICE_UNAVAILABLE": Code(
        503, Category.TRANSIENT, "Something we depend on is away; nothing is lost, try again."
    ),
    "MEMORY_DISABLED": Code(
        503,
        Category.PERMANENT,
        "Memory is off; turn it on in the configuration and start the daemon again.",
    ),
    "QUEUE_FULL": Code(503, Category.TRANSIENT, "Too much is in work at the moment; try again."),
    "TIMEOUT": Code(504, Category.TRANSIENT, "This took too long and was given up; try again."),
}
_BY_STATUS = {
    401: "invalid_bearer_token",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    413: "PAYLOAD_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    426: "UPGRADE_REQUIRED",
    429: "RATE_LIMITED",
    431: "HEADERS_TOO_LARGE",
    503: "SERVICE_UNAVAILABLE",
    504: "TIMEOUT",
}
#: Headers of a framework's own refusal that tell the caller how to do better.
_TELLING_HEADERS = ("Allow", "Upgrade", "Retry-After")


class BadField(Refused):
    """One field of a request is missing or wrong."""

    def __init__(
        self, message: str, *, code: str, field: str, details: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.details = {"field": field, **(details or {})}


class NotRegistered(NotFound):
    """A channel that is not open here, or that nobody knows."""

    def __init__(self, channel: str, message: str) -> None:
        super().__init__(message)
        self.details = {"channel_id": channel, "registered": False}


class MissingScope(Forbidden):
    """A known credential without the scope that a route needs."""

    def __init__(self, scope: str) -> None:
        super().__init__(
            f"This credential may not do this: it needs the scope {scope}.",
            code="missing_required_scope",
        )
        self.scope = scope


class TooManyAttempts(OpenCrawError):
    """Somebody guesses tokens and is not listened to for `retry_after` seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(CODES["RATE_LIMITED"].meaning)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Problem:
    """A failure as the caller will see it."""

    code: str
    message: str = ""
    status: int = 0
    retry_after: float | None = None
    details: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self, correlation_id: UUID) -> web.Response:
        """Wrap it in the envelope. Never a status below 400."""
        code = CODES.get(self.code, CODES["INVALID_REQUEST"])
        status = self.status or code.status
        headers = dict(self.headers)
        if self.retry_after is not None:
            headers["Retry-After"] = str(max(1, math.ceil(self.retry_after)))
        if status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        wait = None if self.retry_after is None else math.ceil(self.retry_after * 1000)
        envelope = {
            "code": self.code,
            "message": self.message or code.meaning,
            "category": code.category,
            "correlation_id": str(correlation_id),
            "execution_id": None,
            "request_id": str(correlation_id),
            "retry_after_ms": wait,
            "details": dict(self.details),
        }
        return json_response({"error": envelope}, status=status, headers=headers)


def problem(error: Exception) -> Problem:
    """Say what an exception means to the caller. What we did not foresee says nothing."""
    match error:
        case MissingScope():
            return Problem(error.code, str(error), details={"required_scope": error.scope})
        case BadField() | NotRegistered():
            return Problem(error.code, str(error), details=error.details)
        case SlowDown():
            return Problem(error.code, str(error), retry_after=error.retry_after)
        case Refused():
            return _refusal(error)
        case Unavailable():
            return Problem(error.code, str(error), retry_after=error.retry_after)
        case TooManyAttempts():
            return Problem("RATE_LIMITED", str(error), retry_after=error.retry_after)
        case web.HTTPException():
            return from_status(error.status, error.headers)
        case TimeoutError():
            return Problem("TIMEOUT")
        case _:
            return Problem("INTERNAL_ERROR")


def from_status(status: int, headers: Mapping[str, str]) -> Problem:
    """Say what the framework's own refusal, or a bare answer of a handler, means to the caller."""
    kept = {name: headers[name] for name in _TELLING_HEADERS if name in headers}
    usual = "INVALID_REQUEST" if status < 500 else "INTERNAL_ERROR"
    return Problem(_BY_STATUS.get(status, usual), status=status, headers=kept)


def json_response(
    body: Mapping[str, object], *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Answer with a JSON object."""
    return web.Response(
        body=orjson.dumps(body), status=status, headers=headers, content_type="application/json"
    )


def table() -> str:
    """The codes as docs/http.md shows them."""
    rows = [
        f"| {code.status} | `{name}` | `{code.category}` | {code.meaning} |"
        for name, code in sorted(CODES.items(), key=lambda item: item[1].status)
    ]
    return "\n".join(["| status | code | category | meaning |", "| --- | --- | --- | --- |", *rows])


def _refusal(error: Refused) -> Problem:
    """A subclass that has a status of its own means it; otherwise the code decides."""
    if error.status == Refused.status:
        return Problem(error.code, str(error))
    code = _BY_STATUS.get(error.status, error.code)
    return Problem(
        code if error.code == "INVALID_REQUEST" else error.code, str(error), status=error.status
    )
