"""Who an address is. Two spellings of one mailbox become one id, two mailboxes never do."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from email.headerregistry import Address as Mailbox
from email.headerregistry import AddressHeader

from channels.mail.headers import DEFECTS, Headers, one_line, structured
from opencraw.settings import AccessSettings

LONGEST = 254
LONGEST_NAME = 100
_LOCAL = re.compile(r"[^\s\x00-\x20\x7f\"(),:;<>@\[\\\]]{1,64}")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_CAPITALS = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


@dataclass(frozen=True, slots=True)
class Person:
    """A mailbox, and what its owner calls himself in it. `id` decides; `name` is decoration."""

    id: str
    name: str = ""

    @property
    def domain(self) -> str:
        return self.id.rpartition("@")[2]

    @property
    def local(self) -> str:
        return self.id.rpartition("@")[0]


def normalised(address: str) -> str | None:
    """The one spelling of a mailbox, or None for what is no address.

    Only A to Z are made small: other letters that computers call equal, as the Kelvin sign and k,
    are two mailboxes. A domain is written as the name servers know it.
    """
    if len(address) > LONGEST:
        return None
    local, at, domain = address.strip().rpartition("@")
    known = normalised_domain(domain)
    if not at or known is None or _LOCAL.fullmatch(local) is None:
        return None
    return f"{local.translate(_CAPITALS)}@{known}"


def all_normalised(addresses: Iterable[str]) -> frozenset[str]:
    """Those that are addresses."""
    return frozenset(known for each in addresses if (known := normalised(each)) is not None)


def spelled_as_known(access: AccessSettings) -> AccessSettings:
    """The same people, as the senders of mail are known by. Raises `ValueError` for what is no
    address: nobody could ever be let in by it."""
    spelled = {}
    for name in ("owners", "allowed_senders"):
        for each in getattr(access, name):
            if normalised(each) is None:
                raise ValueError(f"{name}: {each!r} is no e-mail address")
        spelled[name] = sorted(all_normalised(getattr(access, name)))
    return access.model_copy(update=spelled)


def normalised_domain(domain: str) -> str | None:
    """A domain as the name servers know it, or None for what is none.

    Letters that are another in old rules and themselves in new ones, as the German sharp s, make
    two domains with two owners; such a domain counts only as the name servers write it.
    """
    written = unicodedata.normalize("NFC", domain.lower())
    try:
        encoded = written.encode("idna")
        if not domain.isascii() and encoded.decode("idna") != written:
            return None
    except UnicodeError:
        return None
    known = encoded.decode("ascii").lower()
    return known if all(map(_LABEL.fullmatch, known.split("."))) else None


def writer(headers: Headers) -> Person | None:
    """Who a mail says that it is from: one mailbox, or nobody. Where there are several, those who
    check senders and those who show them pick different ones: so forgeries are made."""
    found = headers.every("from")
    if len(found) != 1:
        return None
    header = structured("from", found[0])
    if not isinstance(header, AddressHeader):
        return None
    try:
        [mailbox] = header.addresses
        if len(header.groups) != 1 or header.groups[0].display_name is not None:
            return None
        return _person(mailbox)
    except DEFECTS:
        return None


def _person(mailbox: Mailbox) -> Person | None:
    address = normalised(mailbox.addr_spec)
    if address is None:
        return None
    return Person(address, one_line(mailbox.display_name, LONGEST_NAME))
