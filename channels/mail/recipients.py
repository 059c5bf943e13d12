"""Whether a mail was written to us.

A signature proves who wrote a mail, and not who brings it: whoever once got one from an owner can
bring it to us, signature and all. So our address must stand in To or Cc, and its writer must have
put it there: either his own servers brought the mail, or he signed that line, and those by which a
second copy is known. Envelopes, and what servers note of them, are chosen by whoever brings it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from email.headerregistry import AddressHeader

from channels.mail.addresses import normalised
from channels.mail.headers import DEFECTS, Headers, structured

_TAG = re.compile(r"\s*([A-Za-z]\w*)\s*=(.*)", re.S)
#: What tells one mail from the next.
_KNOWN_BY = frozenset({"from", "date", "message-id"})


def not_to_us(headers: Headers, own: Collection[str], *, straight: bool) -> str | None:
    """Why a mail does not count as said to us, or None if it does. `straight` says that its
    writer's own servers brought it."""
    names = [name for name in ("to", "cc") if not _recipients(headers, name).isdisjoint(own)]
    if not names:
        return "our address is in neither To nor Cc, so it was not written to us"
    if straight or any(_is_signed(headers, _KNOWN_BY | {name}) for name in names):
        return None
    return (
        "it may have been handed on by somebody: SPF did not pass for its writer, and no signature "
        "covers From, Date, Message-ID and to whom it is"
    )


def _recipients(headers: Headers, name: str) -> set[str]:
    """Whom a line names. Of two such lines one was added, and nobody can tell which."""
    found = headers.every(name)
    header = structured(name, found[0]) if len(found) == 1 else None
    if not isinstance(header, AddressHeader):
        return set()
    try:
        addresses = [normalised(each.addr_spec) for each in header.addresses]
    except DEFECTS:
        return set()
    return {each for each in addresses if each is not None}


def _is_signed(headers: Headers, names: Collection[str]) -> bool:
    """Whether each signature covers these lines, and all of the text: any may be the one that
    passed, and whoever adds one cannot take the true one away."""
    signatures = headers.every("dkim-signature")
    return bool(signatures) and all(_covers(each, names) for each in signatures)


def _covers(signature: str, names: Collection[str]) -> bool:
    tags: dict[str, str] = {}
    for written in signature.split(";"):
        tag = _TAG.fullmatch(written)
        if tag is None:
            continue
        if tag[1] in tags:
            return False
        tags[tag[1]] = tag[2]
    signed = {each.strip().lower() for each in tags.get("h", "").split(":")}
    # With l= anybody may add to the end of the text.
    return signed.issuperset(names) and "l" not in tags
