"""`/new`, behind which stands what to ask first: read alike by the door, which carries it out, and
by whoever follows what comes back."""

from __future__ import annotations

#: Commands that begin a conversation anew. Behind them stands a message of any length.
ANEW = frozenset({"new", "nuke"})


def parts(command: str) -> tuple[str, str]:
    """A command's name and what stands behind it."""
    name, *rest = command.strip().removeprefix("/").split(maxsplit=1) or [""]
    return name.casefold(), rest[0] if rest else ""


def asks_first(command: str) -> bool:
    """Whether the assistant is asked something behind this command, so that two answers come."""
    name, argument = parts(command)
    return name in ANEW and argument != ""
