"""Who may speak for whom: both sides sign what they send with one secret.

The signature is the HMAC-SHA256 of `<timestamp>.<body>` in hexadecimal. A request without a body
signs its path with the query instead.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from opencraw.errors import Unauthorised

TIMESTAMP = "X-OpenCraw-Timestamp"
SIGNATURE = "X-OpenCraw-Signature"
#: How far two clocks may be apart, and how long a captured request can be sent again.
WINDOW_SECONDS = 300
_LONGEST_TIMESTAMP = 12


def signed(secret: str, body: bytes, now: float) -> dict[str, str]:
    """The headers that make a request ours."""
    timestamp = str(int(now))
    return {TIMESTAMP: timestamp, SIGNATURE: _signature(secret, timestamp, body)}


def fresh(headers: Mapping[str, str], now: float) -> str:
    """The moment of a request that claims to be signed. Raises `Unauthorised` where nothing in the
    body could change that, so that it need not be read."""
    timestamp = headers.get(TIMESTAMP, "")
    if not headers.get(SIGNATURE):
        raise _unsigned(f"Sign the request: {TIMESTAMP} and {SIGNATURE} are missing.")
    if len(timestamp) > _LONGEST_TIMESTAMP or not (timestamp.isascii() and timestamp.isdigit()):
        raise _unsigned(f"{TIMESTAMP} must be the time in whole seconds since 1970.")
    if abs(now - int(timestamp)) > WINDOW_SECONDS:
        raise _unsigned(
            f"{TIMESTAMP} is more than {WINDOW_SECONDS} s away from our clock; sign anew."
        )
    return timestamp


def check(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> None:
    """Raise `Unauthorised` for what nobody with the secret has signed just now."""
    expected = _signature(secret, fresh(headers, now), body).encode()
    if not hmac.compare_digest(expected, headers[SIGNATURE].encode("utf-8", "replace")):
        raise _unsigned("The signature is wrong: is it the same secret on both sides?")


def _unsigned(problem: str) -> Unauthorised:
    return Unauthorised(problem, code="invalid_signature")


def _signature(secret: str, timestamp: str, body: bytes) -> str:
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, "sha256").hexdigest()
