"""Takes secrets out of everything that is written about the daemon's work.

Two nets: the secrets we know, wherever they occur, and the shapes that secrets have.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from urllib.parse import quote

REDACTED = "REDACTED"
#: A shorter value is a word that would blot out half of the log.
_SHORTEST = 8
_SHAPES = re.compile(
    r"""
      (?P<before> \b(?:bearer|basic)\s+                                # Authorization headers
                | opencraw\.token\.                                    # our WebSocket subprotocol
                | [?&\#;](?:access_token|refresh_token|token|api_?key|key|secret|password)=
                | \b\w+://[^\s/:@]*:(?=[^\s/@]+@)                      # passwords in addresses
                | /bot(?=\d{6,}:)                                      # Telegram's address of a bot
      ) [^\s"'&,;@\\\]})>]+
    | \b(?:sk|pk|rk)-[\w-]{12,}                                        # model vendors' keys
    | \bxox[a-z]-[\w-]{10,} | \bgh[a-z]_\w{20,} | \blin_api_\w{10,}    # Slack, GitHub, Linear
    | \bAIza[\w-]{30,} | \bya29\.[\w.-]{20,}                           # Google
    | \b\d{8,}:[\w-]{30,}                                              # Telegram
    | (?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*                                # signed web tokens
    """,
    re.IGNORECASE | re.VERBOSE,
)


class Redactor:
    """Knows what must not be seen."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._forms: set[str] = set()
        self._known: re.Pattern[str] | None = None
        self.add(secrets)

    def add(self, secrets: Iterable[str]) -> None:
        """Never let these values through again, nor the forms they take in addresses and JSON."""
        for secret in secrets:
            if len(secret) >= _SHORTEST:
                self._forms |= {secret, quote(secret, safe=""), json.dumps(secret)[1:-1]}
        # Longest first: one secret may begin with another.
        longest_first = sorted(self._forms, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if self._forms else None

    def clean(self, text: str) -> str:
        """Return the text without secrets."""
        if self._known is not None:
            text = self._known.sub(REDACTED, text)
        return _SHAPES.sub(lambda match: (match["before"] or "") + REDACTED, text)
