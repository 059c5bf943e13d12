"""What is said about a message that people may see twice."""

from __future__ import annotations

#: Stands before a text that an earlier attempt may have brought already. Plain in every dialect.
RECOVERED = "(Sent again: this message may have arrived before.)"
#: How much longer a mark makes a text, by whatever a platform counts. Whoever cuts texts before
#: they are marked cuts them by so much shorter.
MARK_LENGTH = len(RECOVERED) + 2


def marked_recovered(text: str) -> str:
    """The text, marked as a possible second copy. Marking it twice changes nothing."""
    return text if text.startswith(RECOVERED) else f"{RECOVERED}\n\n{text}"
