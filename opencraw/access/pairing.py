"""How strangers are let in: they show a code, and an owner says yes.

Everything is a row, so it survives restarts and is the same on all nodes. Nothing is remembered
beside it: who was let in a moment ago is in, and who was sent away is out, wherever they write.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Literal
from uuid import UUID, uuid4

from opencraw.access.guesses import Guesses
from opencraw.access.policy import has_unseen, is_identity
from opencraw.contract import (
    DEFAULT_TENANT,
    LONGEST_REPLY_CONTEXT,
    PATIENCE_SECONDS,
    Address,
    Envelope,
    Rights,
)
from opencraw.errors import NotFound, Refused, Unavailable
from opencraw.store.database import Database, Record
from opencraw.store.queries import load
from opencraw.store.text import storable

SQL = load("opencraw.access", "pairing.sql")

#: Nobody takes one of these for another.
ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
CODE_LENGTH = 8
GOOD_FOR_SECONDS = 3600.0
#: Of each of our accounts. The statement that asks and the schema know it, too.
MOST_OPEN = 3
LONGEST_NOTE = 512
LONGEST_NAME = 60
#: Whoever is not first each time comes back later.
_TRIES = 20

State = Literal["pending", "approved", "rejected", "expired", "revoked"]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a person stands with one of our accounts."""

    id: UUID
    code: str
    state: State
    rights: Rights
    #: The notice with the code has arrived, or is not to be tried now: it was a moment ago, or too
    #: often.
    told: bool
    #: For how much longer the request is open.
    seconds: float


@dataclass(frozen=True, slots=True)
class Request:
    """One request to be let in, and what became of it."""

    id: UUID
    tenant: str
    channel: str
    account: str
    sender_id: str
    sender_name: str
    chat: str
    thread: str
    reply_context: str
    code: str
    state: State
    rights: str
    requested_at: datetime
    expires_at: datetime
    resolved_at: datetime | None
    resolved_by: str
    note: str

    @property
    def address(self) -> Address:
        """Where it came from."""
        return Address(self.channel, self.account, self.chat, self.thread)

    @property
    def person(self) -> str:
        """Who it is, for an owner. The name is the stranger's own invention."""
        name = f"{self.sender_name}, " if self.sender_name else ""
        return f"{name}{self.channel} id {self.sender_id}"


@dataclass(frozen=True, slots=True)
class Word:
    """What an owner says about a request: let in with these rights, or (None) not. `by` is who says
    it; the same `id` is the same word."""

    by: str
    rights: Rights | None
    note: str = ""
    id: UUID = field(default_factory=uuid4)

    @property
    def state(self) -> State:
        return "rejected" if self.rights is None else "approved"


class Pairing:
    """The verbs of letting people in."""

    def __init__(self, database: Database, guesses: Guesses | None = None) -> None:
        self._database = database
        self._guesses = guesses or Guesses()

    async def standing(self, tenant: str, address: Address, sender: str) -> Standing | None:
        """How a person stands with the account at this address, as it is now."""
        whose = (tenant, address.channel, address.account, sender)
        records = await self._database.fetch(SQL.standing, *whose, patience=PATIENCE_SECONDS)
        if not records:
            return None
        return Standing(**{**records[0], "rights": Rights(records[0]["rights"])})

    async def ask(self, envelope: Envelope) -> Standing | None:
        """Make a request of whoever wrote, who has none. None where no more may be open."""
        tenant, address, sender = envelope.tenant, envelope.address, envelope.sender
        account = (tenant, address.channel, address.account)
        context = storable(envelope.reply_context)
        if len(context) > LONGEST_REPLY_CONTEXT:
            # Nobody can say what half of it means.
            context = ""
        for _ in range(_TRIES):
            if await self._is_full(account):
                return None
            await self._database.commit(SQL.expire, account, patience=PATIENCE_SECONDS)
            request, code = uuid4(), new_code()
            row = (request, *account, sender.id, shown_name(sender.name), address.chat,
                   address.thread, context, code, GOOD_FOR_SECONDS)  # fmt: skip
            if await self._database.commit(SQL.ask, row, patience=PATIENCE_SECONDS) is not None:
                return Standing(request, code, "pending", Rights.GUEST, False, GOOD_FOR_SECONDS)
            # Somebody took the place, or this very person asked on another node.
            if standing := await self.standing(tenant, address, sender.id):
                return standing
        raise Unavailable("too many people ask at once; offer the message again")

    async def _is_full(self, account: tuple[str, str, str]) -> bool:
        [record] = await self._database.fetch(
            SQL.open_requests, *account, patience=PATIENCE_SECONDS
        )
        return bool(record["count"] >= MOST_OPEN)

    async def requests(self, tenant: str = DEFAULT_TENANT, limit: int = 500) -> Sequence[Request]:
        """Who waits for a word, oldest first, then who was let in."""
        records = await self._database.fetch(SQL.requests, tenant, limit)
        return [_request(record) for record in records]

    async def called(self, code: str, by: str) -> Request:
        """The request that somebody means by a code. Raises `NotFound`, and `SlowDown` for whoever
        named too many that nobody was given."""
        self._guesses.check(by)
        cleaned = clean_code(code)
        records = await self._database.fetch(SQL.called, cleaned) if cleaned else []
        if not records:
            self._guesses.wrong(by)
            raise NotFound(
                "No request has this code. Nothing was changed. Look at it again: "
                f"{CODE_LENGTH} letters and digits, without 0, O, 1 and I."
            )
        return _request(records[0])

    async def request(self, request: UUID) -> Request:
        """The request of this id. Raises `NotFound`."""
        records = await self._database.fetch(SQL.request, request)
        if not records:
            raise NotFound("There is no such request any more.")
        return _request(records[0])

    async def resolve(self, request: UUID, word: Word) -> Request:
        """Carry out what an owner says about an open request, or make an owner of whoever was let
        in as a guest a while ago; returns what became of it. Raises `Refused` where it was resolved
        before, or is over."""
        if len(word.note) > LONGEST_NOTE or storable(word.note) != word.note:
            raise Refused(
                f"note: at most {LONGEST_NOTE} characters, and none that cannot be kept.",
                code="INVALID_FIELD",
            )
        rights = (word.rights or Rights.GUEST).value
        row = (request, word.id, word.state, rights, word.by, word.note)
        record = await self._database.commit(SQL.resolve, row)
        now = await self.request(request)
        if record is not None and record["ours"]:
            return now
        raise Refused(_too_late(now), code="CONFLICT_ERROR")

    async def revoke(self, channel: str, sender: str, account: str | None, by: str) -> int:
        """Let a person in no more; returns with how many accounts that was so. Raises `Refused` for
        what is nobody's id."""
        if not is_identity(sender):
            raise Refused("sender: this is nobody's id on a platform.", code="INVALID_FIELD")
        row = (uuid4(), DEFAULT_TENANT, channel, account, sender, by)
        record = await self._database.commit(SQL.revoke, row)
        return int(record["revoked"]) if record is not None else 0

    async def has_owner(self, channel: str, account: str) -> bool:
        """Whether somebody was let in as an owner there."""
        [record] = await self._database.fetch(SQL.has_owner, DEFAULT_TENANT, channel, account)
        return bool(record["found"])

    async def unwelcomed(self) -> Sequence[Request]:
        """Who was let in and was not told of it yet."""
        return [_request(record) for record in await self._database.fetch(SQL.unwelcomed)]

    async def welcomed(self, request: UUID) -> None:
        """Whoever asked knows of being let in, or never will."""
        await self._database.commit(SQL.welcomed, (request,))

    async def begin_telling(self, request: UUID, teller: UUID) -> bool:
        """Whether this teller is to tell the stranger: nobody has, nobody tried a moment ago, and
        it was not tried too often."""
        record = await self._database.commit(SQL.begin_telling, (request, teller))
        return record is not None and bool(record["begun"])

    async def end_telling(self, request: UUID, teller: UUID) -> None:
        """The stranger knows, or never will."""
        await self._database.commit(SQL.end_telling, (request, teller))


def new_code() -> str:
    """A code that nobody guesses: forty bits."""
    return "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))


def clean_code(typed: str) -> str | None:
    """The code that somebody typed, however he spaced and wrote it; None is no code."""
    code = "".join(typed.split()).replace("-", "").upper()
    return code if len(code) == CODE_LENGTH and set(code) <= set(ALPHABET) else None


def shown_name(name: str) -> str:
    """A stranger's name for himself, made harmless to look at: one line, no markup."""
    seen = "".join(" " if has_unseen(each) else each for each in name[:1000])
    return " ".join(seen.translate(_NO_MARKUP).split())[:LONGEST_NAME].strip()


_NO_MARKUP = str.maketrans(dict.fromkeys("`*_~[]()<>|#\\!@/:", " "))


def _too_late(request: Request) -> str:
    match request.state:
        case "expired" | "pending":
            return (
                f"The request of {request.person} is over: a code is good for an hour. Nothing was "
                "changed. When they write again, they get a new one."
            )
        case "revoked":
            return f"{request.person} was let in and sent away again by {request.resolved_by}."
        case state:
            return (
                f"This is already resolved: {request.person} was {state} by "
                f"{request.resolved_by}. Nothing was changed."
            )


def _request(record: Record) -> Request:
    return Request(**{each.name: record[each.name] for each in fields(Request)})
