"""Which mail a program wrote. Answering it is how two programs write to each other for ever
(RFC 3834)."""

from __future__ import annotations

from collections.abc import Callable, Collection

from channels.mail.addresses import Person
from channels.mail.headers import Headers

_NOBODY = frozenset(
    """mailer-daemon postmaster mail-daemon no-reply noreply no_reply do-not-reply donotreply
    do_not_reply bounce bounces auto-reply autoreply root-notify""".split()
)
_LISTS = (
    "list-id", "list-unsubscribe", "list-post", "mailing-list", "x-mailing-list", "x-loop",
)  # fmt: skip
_REPLIES = (
    "x-autoreply", "x-autorespond", "x-autoresponse", "x-auto-reply-from", "x-mail-autoreply",
)  # fmt: skip


def answers_nobody(headers: Headers, writer: Person | None, own: Collection[str]) -> str | None:
    """Why no answer may follow, whoever is listed: what comes back from where our answers go, or
    from ourselves."""
    if writer is not None and writer.id in own:
        return "it is from our own address"
    if headers.has("return-path") and headers.first("return-path").strip() in ("<>", ""):
        return "it is a delivery report: its return path is empty"
    kind = headers.first("content-type").lower()
    if kind.startswith(("multipart/report", "message/delivery-status")):
        return "it is a delivery report"
    if writer is not None and writer.local.startswith(("mailer-daemon", "mail-daemon")):
        return "it is from a mail server"
    if _keyword(headers, "auto-submitted") == "auto-replied":
        return "it is an automatic reply"
    if any(map(headers.has, _REPLIES)):
        return "it is an automatic reply"
    return None


def written_by_a_program(headers: Headers, writer: Person | None) -> str | None:
    """Why nobody seems to have written this by hand. Only an operator who lists the sender wants
    it all the same."""
    return next((reason for ask in _SIGNS if (reason := ask(headers, writer))), None)


def _submitted(headers: Headers, _writer: Person | None) -> str | None:
    # The word decides; what follows it is a remark.
    submitted = _keyword(headers, "auto-submitted")
    return f"Auto-Submitted says {submitted}" if submitted not in ("", "no") else None


def _listed(headers: Headers, _writer: Person | None) -> str | None:
    name = next(filter(headers.has, _LISTS), None)
    return f"it came over a list: it has {name}" if name is not None else None


def _precedence(headers: Headers, _writer: Person | None) -> str | None:
    precedence = _keyword(headers, "precedence")
    is_bulk = precedence in ("bulk", "junk", "list", "auto_reply")
    return f"its precedence is {precedence}" if is_bulk else None


def _suppressed(headers: Headers, _writer: Person | None) -> str | None:
    asked = {each.strip() for each in headers.first("x-auto-response-suppress").lower().split(",")}
    found = asked & {"all", "autoreply", "oof"}
    return "its sender asks for no automatic answer" if found else None


def _nobody(_headers: Headers, writer: Person | None) -> str | None:
    if writer is None:
        return None
    local = writer.local.partition("+")[0]
    return "nobody reads what is sent to its sender" if local in _NOBODY else None


_SIGNS: tuple[Callable[[Headers, Person | None], str | None], ...] = (
    _submitted, _listed, _precedence, _suppressed, _nobody,
)  # fmt: skip


def _keyword(headers: Headers, name: str) -> str:
    return headers.first(name).partition(";")[0].partition("(")[0].strip().lower()
