from __future__ import annotations

import re
from pathlib import Path
from uuid import UUID, uuid4

import orjson
import pytest
from aiohttp import web

from opencraw.control.errors import (
    CODES,
    BadField,
    Category,
    MissingScope,
    problem,
    table,
)
from opencraw.errors import (
    Fenced,
    Forbidden,
    NotFound,
    NotSent,
    OpenCrawError,
    QueueFull,
    Refused,
    SlowDown,
    Unauthorised,
    Unavailable,
)

ROOT = Path(__file__).parents[2]
CODE_IN_SOURCE = re.compile(r"""\bcode(?::\s*str)?\s*=\s*"([A-Za-z_]+)\"""")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Refused("no"), 400, "INVALID_REQUEST"),
        (Refused("no", code="CONFLICT_ERROR"), 409, "CONFLICT_ERROR"),
        (Refused("no", code="RATE_LIMITED"), 429, "RATE_LIMITED"),
        (SlowDown("no", retry_after=2.5), 429, "RATE_LIMITED"),
        (BadField("no", code="MISSING_FIELD", field="a"), 400, "MISSING_FIELD"),
        (Unauthorised("no"), 401, "invalid_bearer_token"),
        (Unauthorised("no", code="missing_bearer_token"), 401, "missing_bearer_token"),
        (Forbidden("no"), 403, "FORBIDDEN"),
        (MissingScope("config:read"), 403, "missing_required_scope"),
        (NotFound("no"), 404, "NOT_FOUND"),
        (NotFound("no", code="WORKFLOW_NOT_FOUND"), 404, "WORKFLOW_NOT_FOUND"),
        (Unavailable("no", retry_after=1.2), 503, "SERVICE_UNAVAILABLE"),
        (QueueFull("no"), 503, "QUEUE_FULL"),
        (web.HTTPNotFound(), 404, "NOT_FOUND"),
        (web.HTTPMethodNotAllowed("PUT", ["GET"]), 405, "METHOD_NOT_ALLOWED"),
        (web.HTTPRequestEntityTooLarge(1), 413, "PAYLOAD_TOO_LARGE"),
        (web.HTTPUnsupportedMediaType(), 415, "UNSUPPORTED_MEDIA_TYPE"),
        (web.HTTPExpectationFailed(), 417, "INVALID_REQUEST"),
        (web.HTTPNotImplemented(), 501, "INTERNAL_ERROR"),
        (TimeoutError(), 504, "TIMEOUT"),
        (OpenCrawError("inside"), 500, "INTERNAL_ERROR"),
        (Fenced("inside"), 500, "INTERNAL_ERROR"),
        (NotSent("inside"), 500, "INTERNAL_ERROR"),
        (ValueError("inside"), 500, "INTERNAL_ERROR"),
    ],
)
def test_every_failure_has_its_code_and_its_status(
    error: Exception, status: int, code: str
) -> None:
    correlation_id = uuid4()
    response = problem(error).response(correlation_id)
    assert isinstance(response.body, bytes)
    envelope = orjson.loads(response.body)["error"]
    assert (response.status, envelope["code"]) == (status, code)
    assert UUID(envelope["correlation_id"]) == correlation_id
    assert envelope["category"] in set(Category)
    assert envelope["message"]
    assert "inside" not in envelope["message"]


def test_a_refusal_says_what_would_help() -> None:
    refused = problem(web.HTTPMethodNotAllowed("PUT", ["GET"])).response(uuid4())
    assert refused.headers["Allow"] == "GET"
    away = problem(Unavailable("no", retry_after=1.2)).response(uuid4())
    assert away.headers["Retry-After"] == "2"
    assert isinstance(away.body, bytes)
    assert orjson.loads(away.body)["error"]["retry_after_ms"] == 1200
    fast = problem(SlowDown("no", retry_after=0.4)).response(uuid4())
    assert fast.headers["Retry-After"] == "1"
    assert isinstance(fast.body, bytes)
    assert orjson.loads(fast.body)["error"]["retry_after_ms"] == 400
    missing = problem(MissingScope("config:read")).response(uuid4())
    assert isinstance(missing.body, bytes)
    assert orjson.loads(missing.body)["error"]["details"] == {"required_scope": "config:read"}


def test_no_code_is_used_that_is_not_registered() -> None:
    used = {
        code
        for folder in ("opencraw", "channels")
        for path in (ROOT / folder).rglob("*.py")
        for code in CODE_IN_SOURCE.findall(path.read_text(encoding="utf-8"))
    }
    assert "INVALID_FIELD" in used, "the pattern finds something"
    assert used - set(CODES) == set()


def test_the_page_about_http_has_the_table_of_codes() -> None:
    page = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")
    assert table() in page
