"""Whether a From is to be believed.

Anybody may write any address into a From. Our own receiving server looks where a mail really came
from and writes what it found into an Authentication-Results header (RFC 8601), under a name that
the operator tells us. Only the topmost header of that name counts: a server puts its own above all
others, and what stands below may have been sent along.

Believed is what DMARC passed for the domain of the From; where that domain has no policy, what SPF
and DKIM both passed for it. Servers copy into that header what a stranger chose: addresses, names.
So it is read to the letter, and one that cannot be read so vouches for nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from channels.mail.addresses import Person, normalised_domain
from channels.mail.headers import Headers

_LONGEST = 8_000
_NAME = re.compile(r'\s*"?([^\s;"()\\]+?)\.*"?(?=[\s;(]|$)')
#: A string in quotes, a character that means something, or what stands between those.
_PIECES = re.compile(r'"(?:[^"\\]|\\.)*"|[();"\\]|[^"\\();]+', re.S)
_METHOD = re.compile(r"\s*([A-Za-z][\w-]*)\s*(?:/\s*\d+\s*)?=\s*([A-Za-z]+)(?=\s|$)")
_PROPERTY = re.compile(
    r'\s*([A-Za-z][\w-]*(?:\s*\.\s*[\w-]+)?)\s*=\s*((?:"(?:[^"\\]|\\.)*"|[^\s"\\])+)(?=\s|$)', re.S
)
#: A domain, or an address whose local part needs no quotes: within those anything may stand.
_PLACE = re.compile(r'(?:[^\s"\\@,:;<>()\[\]]*@)?([^\s"\\@,:;<>()\[\]]+)')
_USED = frozenset({"dmarc", "spf", "dkim"})
_EMPTY = frozenset({"", "none"})
#: DMARC's verdicts on a domain that says nothing about forgeries of it.
_NO_POLICY = frozenset({"none", "bestguesspass"})


class _Unclear(ValueError):
    """A header that could be read in two ways. The text says why."""


@dataclass(frozen=True, slots=True)
class _Result:
    method: str
    verdict: str
    properties: dict[str, str]

    def __str__(self) -> str:
        said = f"{self.method}={self.verdict}"
        place = self.domain("header.from" if self.method == "dmarc" else "smtp.mailfrom")
        return f"{said} for {place or _signer(self)}" if self.verdict == "pass" else said

    def domain(self, name: str) -> str | None:
        """The domain of a property that is a domain or an address."""
        place = _PLACE.fullmatch(self.properties.get(name, ""))
        return normalised_domain(place[1]) if place is not None else None


def forged(headers: Headers, writer: Person, authserv_id: str) -> str | None:
    """Why the From is not believed, or None if it is."""
    if not authserv_id:
        return "authserv_id is not set, so no sender can be told from a forger"
    try:
        results = _results(headers, authserv_id)
    except _Unclear as unclear:
        return f"what {authserv_id} says about it is not clear: {unclear}"
    if results is None:
        return f"{authserv_id} says nothing about it in an Authentication-Results header"
    dmarc = [each for each in results if each.method == "dmarc"]
    if dmarc and all(_passed(each, writer) for each in dmarc):
        return None
    # Whoever has a policy has said what to think of mail that does not meet it.
    has_none = all(each.verdict in _NO_POLICY for each in dmarc)
    if has_none and _spf(results, writer) and _dkim(results, writer):
        return None
    found = ", ".join(map(str, results[:8]))
    return f"{authserv_id} does not vouch for {writer.domain} ({found or 'no results'})"


def came_straight(headers: Headers, writer: Person, authserv_id: str) -> bool:
    """Whether the writer's own servers brought it, for all that our server found out: nobody who
    once got this mail has sent it on."""
    try:
        return _spf(_results(headers, authserv_id) or [], writer)
    except _Unclear:
        return False


def _passed(dmarc: _Result, writer: Person) -> bool:
    return dmarc.verdict == "pass" and dmarc.domain("header.from") == writer.domain


def _spf(results: list[_Result], writer: Person) -> bool:
    return any(
        each.method == "spf"
        and each.verdict == "pass"
        and _covers(each.domain("smtp.mailfrom"), writer)
        for each in results
    )


def _dkim(results: list[_Result], writer: Person) -> bool:
    return any(
        each.method == "dkim" and each.verdict == "pass" and _covers(_signer(each), writer)
        for each in results
    )


def _signer(dkim: _Result) -> str | None:
    """Whose key it was. Google writes `@` and the domain where others write header.d; what comes
    before an @ was chosen by whoever signed."""
    if "header.d" in dkim.properties:
        return dkim.domain("header.d")
    return dkim.domain("header.i") if dkim.properties.get("header.i", "")[:1] == "@" else None


def _covers(domain: str | None, writer: Person) -> bool:
    """What speaks for a domain speaks for those below it, and not the other way round: whoever has
    one name below a domain is not its owner."""
    return domain is not None and f".{writer.domain}".endswith(f".{domain}") and "." in domain


def _results(headers: Headers, authserv_id: str) -> list[_Result] | None:
    """What the topmost header in our server's name says; None if there is none. Raises `_Unclear`:
    what stands below such a header is never looked at in its place."""
    ours = _server(authserv_id)
    for value in headers.every("authentication-results"):
        name = _server(value)
        if name is None:
            raise _Unclear("nobody can tell in whose name one of them is written")
        if name != ours:
            continue
        if len(value) > _LONGEST:
            raise _Unclear("it is too long")
        _, *statements = _statements(value)
        return [result for each in statements if (result := _result(each)) is not None]
    return None


def _server(value: str) -> str | None:
    """In whose name a header is written."""
    name = _NAME.match(value)
    return name[1].lower() if name is not None else None


def _statements(value: str) -> Iterator[str]:
    """The parts between semicolons, without comments."""
    depth = 0
    statement: list[str] = []
    for piece in _PIECES.finditer(value):
        match piece[0]:
            case '"' | "\\":
                raise _Unclear("a quotation mark or a backslash stands alone")
            case "(":
                depth += 1
            case ")" if not depth:
                raise _Unclear("a comment ends that has not begun")
            case ")":
                depth -= 1
                statement.append(" ")
            case said if depth:
                # Servers put addresses there as they came; one in quotes could end the comment.
                if said.startswith('"'):
                    raise _Unclear("there is something in quotes in a comment")
            case ";":
                yield "".join(statement)
                statement = []
            case said:
                statement.append(said)
    if depth:
        raise _Unclear("a comment does not end")
    yield "".join(statement)


def _result(statement: str) -> _Result | None:
    """What a statement says, if it is about something that is asked for here."""
    found = _METHOD.match(statement)
    if found is None:
        if statement.strip().lower() not in _EMPTY:
            raise _Unclear("it says something that is no verdict")
        return None
    method, verdict = found[1].lower(), found[2].lower()
    if method not in _USED:
        return None
    properties: dict[str, str] = {}
    at = found.end()
    while statement[at:].strip():
        said = _PROPERTY.match(statement, at)
        if said is None:
            raise _Unclear(f"there is more about {method} than can be read")
        name = "".join(said[1].split()).lower()
        if name in properties:
            raise _Unclear(f"it says {name} of {method} twice")
        properties[name] = _unquoted(said[2])
        at = said.end()
    return _Result(method, verdict, properties)


def _unquoted(value: str) -> str:
    """A value that is one string in quotes, without them; every other one as it stands."""
    if re.fullmatch(r'"(?:[^"\\]|\\.)*"', value, re.S) is None:
        return value
    return re.sub(r"\\(.)", r"\1", value[1:-1], flags=re.S)
