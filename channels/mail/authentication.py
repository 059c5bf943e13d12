"""Whether a From is to be believed.

Anybody may write any address into a From. Our own receiving server looks where a mail really came
from and writes what it found into an Authentication-Results header (RFC 8601), under a name that
the operator tells us. Only the topmost header of that name counts: a server puts its own above all
others, and what stands below may have been sent along.

Believed is what DMARC passed for the domain of the From, or what SPF and DKIM both passed for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from channels.mail.addresses import Person, normalised_domain
from channels.mail.headers import Headers

_LONGEST = 8_000
#: A string in quotes, a backslash with what it protects, or a character that means something.
_PIECES = re.compile(r'"(?:[^"\\]|\\.)*"|\\.|[();]|[^"\\();]+|"', re.S)
_RESULT = re.compile(r"\s*([A-Za-z][\w-]*)\s*(?:/\s*\d+\s*)?=\s*([A-Za-z]+)(?=\s|$)")
_PROPERTY = re.compile(r'\b([A-Za-z]+)\s*\.\s*([\w-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s"]+)')


@dataclass(frozen=True, slots=True)
class _Result:
    method: str
    verdict: str
    properties: dict[str, str] = field(default_factory=dict)


def forged(headers: Headers, writer: Person, authserv_id: str) -> str | None:
    """Why the From is not believed, or None if it is."""
    if not authserv_id:
        return "authserv_id is not set, so no sender can be told from a forger"
    ours = next(
        (
            results
            for value in headers.every("authentication-results")
            if (results := _results(value, authserv_id)) is not None
        ),
        None,
    )
    if ours is None:
        return f"{authserv_id} says nothing about it in an Authentication-Results header"
    passed = [each for each in ours if each.verdict == "pass"]
    if any(each.method == "dmarc" and _is_of(each, "header.from", writer) for each in passed):
        return None
    spf = any(each.method == "spf" and _covers(each, "smtp.mailfrom", writer) for each in passed)
    dkim = any(
        each.method == "dkim"
        and (_covers(each, "header.d", writer) or _covers(each, "header.i", writer))
        for each in passed
    )
    if spf and dkim:
        return None
    found = ", ".join(f"{each.method}={each.verdict}" for each in ours[:8])
    return f"{authserv_id} does not vouch for {writer.domain} ({found or 'no results'})"


def _results(value: str, authserv_id: str) -> list[_Result] | None:
    """What a header says, if it is written in our server's name."""
    if len(value) > _LONGEST:
        return None
    first, *others = _statements(value)
    name = first.split()
    if not name or name[0].strip('"').lower() != authserv_id.lower():
        return None
    return [result for other in others if (result := _result(other)) is not None]


def _statements(value: str) -> Iterator[str]:
    """The parts between semicolons, without comments."""
    depth = 0
    statement: list[str] = []
    for piece in _PIECES.findall(value):
        if piece == "(":
            depth += 1
        elif piece == ")" and depth:
            depth -= 1
            statement.append(" ")
        elif depth:
            continue
        elif piece == ";":
            yield "".join(statement)
            statement = []
        else:
            statement.append(piece)
    yield "".join(statement)


def _result(statement: str) -> _Result | None:
    found = _RESULT.match(statement)
    if found is None:
        return None
    properties = {
        f"{kind}.{name}".lower(): said.strip('"')
        for kind, name, said in reversed(_PROPERTY.findall(statement, found.end()))
    }
    return _Result(found[1].lower(), found[2].lower(), properties)


def _domain(result: _Result, name: str) -> str | None:
    """The domain of a property that is a domain or an address."""
    return normalised_domain(result.properties.get(name, "").rpartition("@")[2])


def _is_of(result: _Result, name: str, writer: Person) -> bool:
    return _domain(result, name) == writer.domain


def _covers(result: _Result, name: str, writer: Person) -> bool:
    """What speaks for a domain speaks for those below it, and not the other way round: whoever has
    one name below a domain is not its owner."""
    domain = _domain(result, name)
    return domain is not None and f".{writer.domain}".endswith(f".{domain}") and "." in domain
