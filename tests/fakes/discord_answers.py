"""How Discord answers a bot, on good days and on bad ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web


@dataclass
class Fault:
    """What happens to the next message that is meant to stay: drafts and typing are spared."""

    kind: str
    channel_id: str = ""
    times: int = 1
    retry_after: float | str = 0.5
    shape: str = ""


HEADERS = {
    "Via": "1.1 google",
    "X-RateLimit-Limit": "5",
    "X-RateLimit-Remaining": "4",
    "X-RateLimit-Reset-After": "1.0",
    "X-RateLimit-Bucket": "made-up",
}


def answer(
    body: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    # The library knows JSON by this exact type; a charset behind it would be text.
    content = {"Content-Type": "application/json"} | HEADERS | dict(headers or {})
    return web.Response(body=json.dumps(body).encode(), status=status, headers=content)


def refused(wrong: list[str]) -> web.Response:
    return answer({"message": "Invalid Form Body", "code": 50035, "errors": {"_": wrong}}, 400)


def limited(fault: Fault) -> web.Response:
    """A 429 in one of Discord's shapes."""
    if fault.shape == "cloudflare":
        page = "<html>You are being rate limited</html>"
        headers = {"Retry-After": str(fault.retry_after)}
        return web.Response(text=page, content_type="text/html", status=429, headers=headers)
    everywhere = fault.shape == "global"
    body = {
        "message": "You are being rate limited.",
        "retry_after": fault.retry_after,
        "global": everywhere,
    }
    scope = {"X-RateLimit-Scope": "global" if everywhere else "user"}
    return answer(body, 429, scope | ({"X-RateLimit-Global": "true"} if everywhere else {}))


def broken(request: web.Request) -> web.StreamResponse:
    """Break the connection; the response that is returned reaches nobody."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
