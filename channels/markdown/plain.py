"""No dialect at all: for people who read their mail in a terminal, and for search."""

from __future__ import annotations

from channels.markdown.flow import Manner, flow
from channels.markdown.parsing import parse

_MANNER = Manner(bullet="- ", longest_url=0, quoted="> ")


def plain(markdown: str) -> str:
    """Return the text without marks; addresses stand behind the names of links."""
    return flow(parse(markdown), _MANNER).text.strip() or markdown.strip()
