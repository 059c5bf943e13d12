"""Credentials and what they reach. Scopes come from here, never from what a client says."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass

AREAS = (
    "automation", "channels", "chat", "config", "memory", "messages", "pairing", "sessions",
    "skills",
)  # fmt: skip
SUPPORTED_SCOPES = frozenset(
    {"*", "control:write", "control:read"}
    | {f"{area}:{level}" for area in AREAS for level in ("read", "write")}
)
EVERYTHING = frozenset({"*"})


@dataclass(frozen=True, slots=True)
class Credential:
    """Who calls. `name` is for logs and never the token."""

    name: str
    scopes: frozenset[str]
    #: Made by us from 32 random bytes: nobody guesses it, so guessing need not lock it out.
    unguessable: bool = False

    def allows(self, scope: str) -> bool:
        """Whether this reaches `scope`. Writing implies reading; no scopes imply nothing."""
        area, _, level = scope.rpartition(":")
        enough = {"*", scope}
        if area:
            enough |= {"control:write", f"{area}:write"}
        if level == "read":
            enough.add("control:read")
        return not enough.isdisjoint(self.scopes)


class Keyring:
    """Finds the credential for a token in a time that tells nothing about the token."""

    def __init__(self, keys: Iterable[tuple[str, Credential]]) -> None:
        self._keys = tuple((_digest(token), credential) for token, credential in keys)

    def find(self, token: str) -> Credential | None:
        """Return the token's credential, or None when nobody issued it."""
        presented = _digest(token)
        found = None
        # No early return: how long this takes must not depend on where a match is.
        for digest, credential in self._keys:
            if hmac.compare_digest(presented, digest):
                found = credential
        return found


def _digest(token: str) -> bytes:
    # Bytes of one length, whatever was sent: compare_digest fails on text beyond ASCII.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
