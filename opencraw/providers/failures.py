"""From what a vendor answers to a `ModelFailure` that says what to do next.

Vendors disagree with their own status codes: a spent account is 429 here, 400 there. So what the
body says is read first, kind by kind in the order of `FailureKind`, and the status only after it.
Names that say nothing (`server_error`, `invalid_request_error`) leave the word to the status.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import msgspec

from opencraw.errors import FailureKind, ModelFailure

LONGEST_QUOTE = 300

NEXT_STEP: Mapping[FailureKind, str] = {
    FailureKind.BILLING: "the account has no credit left or met its spending limit; "
    "add credit or raise the limit with the vendor",
    FailureKind.AUTH: "it did not accept the key; check the key and what it may use",
    FailureKind.RATE_LIMITED: "it is asked too often; try again later",
    FailureKind.OVERLOADED: "it is overloaded or has a fault of its own; try again later",
    FailureKind.TIMEOUT: "it took too long; try again",
    FailureKind.CONTEXT_OVERFLOW: "the conversation is longer than this model can read; "
    "begin a new one with /new, or choose a model that reads more",
    FailureKind.FORMAT: "it refused the request; check the model's name and base_url",
    FailureKind.UNREACHABLE: "it cannot be reached; check the network and base_url",
}


@dataclass(frozen=True)
class Complaint:
    """What an error body says, in whichever of the usual shapes it says it."""

    codes: frozenset[str]
    message: str
    #: Gateways name the status of the error that they pass on.
    status: int | None = None


NOTHING_SAID = Complaint(frozenset(), "")


@dataclass(frozen=True)
class Signs:
    """By what one kind of failure is known. Phrases are lower case."""

    codes: frozenset[str] = frozenset()
    phrases: tuple[str, ...] = ()

    def match(self, complaint: Complaint) -> bool:
        message = complaint.message.lower()
        return not self.codes.isdisjoint(complaint.codes) or any(
            phrase in message for phrase in self.phrases
        )


#: In the order of `FailureKind`: the first that matches decides.
Table = tuple[tuple[FailureKind, Signs], ...]


def classify(table: Table, status: int, complaint: Complaint) -> FailureKind:
    """The kind of failure that an error answer means. Errors inside a stream count as status 500:
    the request itself had been accepted."""
    status = complaint.status or status
    for kind, signs in table:
        if kind is FailureKind.FORMAT and status != 500:
            break  # vendors call every refusal an invalid request; the status knows better
        if signs.match(complaint):
            return kind
    return _kind_of_status(status)


def _kind_of_status(status: int) -> FailureKind:
    match status:
        case 402:
            return FailureKind.BILLING
        case 401 | 403:
            return FailureKind.AUTH
        case 429:
            return FailureKind.RATE_LIMITED
        case 408 | 504 | 524:
            return FailureKind.TIMEOUT
        case 413:
            return FailureKind.CONTEXT_OVERFLOW
    return FailureKind.OVERLOADED if status >= 500 else FailureKind.FORMAT


def read_complaint(body: bytes) -> Complaint:
    """What an error body says. A body that is no JSON is quoted, unless it is a web page."""
    try:
        told = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        text = body.decode("utf-8", "replace").strip()
        return Complaint(frozenset(), "" if text.startswith("<") else text)
    if isinstance(told, list) and told:  # Google's endpoint wraps its error in a list
        told = told[0]
    if not isinstance(told, dict):
        return NOTHING_SAID
    error = told.get("error", told)
    if isinstance(error, str):
        return Complaint(frozenset(), error)
    if not isinstance(error, dict):
        return NOTHING_SAID
    details = error.get("details")
    named = [error.get("code"), error.get("type")]
    if isinstance(details, dict):
        named.append(details.get("error_code"))
    message = error.get("message") or error.get("detail") or told.get("message") or ""
    number = error.get("code")
    return Complaint(
        frozenset(code for code in named if isinstance(code, str)),
        str(message),
        number if isinstance(number, int) and 400 <= number < 600 else None,
    )


def refusal(
    label: str, kind: FailureKind, said: str, *, retry_after: float | None = None
) -> ModelFailure:
    """The failure for an error that a vendor put into words."""
    quote = quoted(said)
    ending = f" (it said: {quote})" if quote else ""
    return ModelFailure(kind, f"{label}: {NEXT_STEP[kind]}{ending}", retry_after=retry_after)


def broken(label: str, problem: str) -> ModelFailure:
    """The failure for an answer that is not in the vendor's own format."""
    return ModelFailure(FailureKind.FORMAT, f"{label}: the answer cannot be read: {problem}")


def cut(label: str) -> ModelFailure:
    """The failure for an answer that stops before its end marker."""
    return ModelFailure(
        FailureKind.UNREACHABLE, f"{label}: the connection ended in the middle of the answer"
    )


def quoted(said: str) -> str:
    """Another program's words, in one short line."""
    line = re.sub(r"[\s\x00-\x1f\x7f]+", " ", said).strip()
    return line if len(line) <= LONGEST_QUOTE else f"{line[:LONGEST_QUOTE]}…"


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds until the vendor wants to be asked again: from milliseconds, seconds or a date."""
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            seconds = float(headers.get(name, "")) / unit
        except ValueError:
            continue
        return max(seconds, 0.0) if math.isfinite(seconds) else None
    try:
        date = parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    if date.tzinfo is None:  # a date that says -0000 instead of GMT
        date = date.replace(tzinfo=UTC)
    return max((date - now).total_seconds(), 0.0)
