"""`/pair`: who asks to be let in, and what an owner says to that.

What the command says is pure. What it does is done before its answer is written down: one that is
offered again, because the daemon died in between, is the same word and is answered as before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from uuid import UUID, uuid5

from opencraw.access.choices import Decided, Kind
from opencraw.access.pairing import Pairing, Request, Word
from opencraw.contract import Option, Rights
from opencraw.errors import Refused

#: The kind of choice that this is.
KIND = "pairing"
APPROVE = Option("approve", "Let in as guest")
DENY = Option("deny", "Reject")
#: How questions end, as people and programs know it of all questions.
_STATUS = {"rejected": "denied"}
USAGE = "/pair [approve CODE [owner] | reject CODE]"

_BY_OWNERS = (
    "People are let in by an owner: in a direct chat with the assistant, or by "
    "`opencraw pairing approve CODE`."
)

Requests = Sequence[Request]


@dataclass(frozen=True)
class Resolve:
    """This request is approved with these rights, or (None) rejected."""

    code: str
    rights: Rights | None


def answer(argument: str, requests: Requests | None) -> tuple[str, Resolve | None]:
    """What is said to `/pair`, and what is to be done. `requests` is None for whoever may not
    decide about it."""
    if requests is None:
        return _BY_OWNERS, None
    verb, *rest = argument.split() or [""]
    match verb.casefold(), rest:
        case "", []:
            return _listed(requests), None
        case "approve", [*code, last] if code and last.casefold() == "owner":
            return "", Resolve("".join(code), Rights.OWNER)
        case "approve", [_, *_] as code:
            return "", Resolve("".join(code), Rights.GUEST)
        case "reject", [_, *_] as code:
            return "", Resolve("".join(code), None)
        case _:
            return f"`{argument[:40]}` is not understood. Usage: `{USAGE}`", None


def _listed(requests: Requests) -> str:
    waiting = [each for each in requests if each.state == "pending"]
    if not waiting:
        return (
            "Nobody waits to be let in. Whoever writes to the assistant for the first time gets a "
            "code to show to you."
        )
    lines = [
        f"- `{each.code}`: {each.person}, until {each.expires_at.astimezone(UTC):%H:%M} UTC"
        for each in waiting
    ]
    example = waiting[0].code
    return "\n\n".join(("Who asks to be let in:", "\n".join(lines), _ways(example)))


def _ways(code: str) -> str:
    return (
        f"`/pair approve {code}` lets them in as a guest, `/pair approve {code} owner` with all "
        f"rights, `/pair reject {code}` does not."
    )


def kind(pairing: Pairing) -> Kind:
    """How a choice about a request is carried out."""

    async def carry_out(subject: UUID, option: str, by: str) -> Decided:
        """Do what was chosen, or say how the request stands if that came too late."""
        rights = Rights.GUEST if option == APPROVE.name else None
        word = Word(by, rights, id=uuid5(subject, f"{by}/{option}"))
        try:
            request = await pairing.resolve(subject, word)
        except Refused as refused:
            return decided(await pairing.request(subject), str(refused), now=False)
        return decided(request, in_words(request), now=True)

    return carry_out


def decided(request: Request, text: str, *, now: bool) -> Decided:
    """What is the case about a request, as its question ends from now on."""
    option = APPROVE.name if request.state == "approved" else DENY.name
    status = f"Status: {_STATUS.get(request.state, request.state)}"
    return Decided(option, status, request.resolved_by or "nobody", text, now)


def in_words(request: Request) -> str:
    """What became of a request, for whoever resolved it."""
    if request.state != "approved":
        return f"{request.person} was {request.state}."
    role = "the owner" if request.rights == Rights.OWNER else "a guest"
    return f"{request.person} is let in as {role}."


def notice(request: Request, *, has_owner: bool) -> str:
    """All that a stranger is told. The first may be the owner, and would be a guest of nobody."""
    code = request.code
    yourself = (
        ""
        if has_owner
        else f" Nobody is the owner on {request.channel} yet: if you are, let yourself in with "
        f"`opencraw pairing approve {code} --owner`."
    )
    return (
        "This assistant talks to people whom its owner has let in. To be one of them, show the "
        f"owner this code: `{code}`\n\n"
        f"Your id here is `{request.sender_id}`. The owner lets you in with "
        f"`/pair approve {code}` in a chat with the assistant, or with "
        f"`opencraw pairing approve {code}`.{yourself} The code is good for an hour; until then "
        "nothing that you write is read."
    )


def question(request: Request) -> str:
    """What an owner is asked about a stranger."""
    until = f"{request.expires_at.astimezone(UTC):%H:%M} UTC"
    return (
        f"Somebody asks to be let in: {request.person}. Their code is `{request.code}`, good until "
        f"{until}.\n\n{_ways(request.code)}"
    )


#: What somebody is told who was let in.
WELCOME = "You are let in. Write again, and the assistant answers."
