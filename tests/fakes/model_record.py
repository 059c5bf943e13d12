"""What the fake model server answers when it is asked to keep the record of a conversation.

It is told so by the system prompt, and does the least that is accepted: one note that names the
last message, and a summary with every heading and every identifier that is demanded.
"""

from __future__ import annotations

import json
import re

_HEADING = re.compile(r"^## .+$", re.MULTILINE)
_IDENTIFIERS = re.compile(r'<from-outside origin="identifiers"[^>]*>\n(.*?)\n</', re.DOTALL)
_NAME = re.compile(r"<<([^<>]*)>>")


def summary(system: str, text: str) -> str | None:
    """The summary that is asked for; None when something else is."""
    headings = _HEADING.findall(system)
    if not headings:
        return None
    found = _IDENTIFIERS.search(text)
    listed = found[1] if found is not None else ""
    # Never nothing: some of it may have been left unanswered.
    return "\n\n".join(
        f"{heading}\n\n- as it was{f': {listed}' if 'dentifier' in heading else ''}"
        for heading in headings
    )


def note(system: str, text: str) -> tuple[str, str] | None:
    """The call that takes the note that is asked for; None when something else is."""
    if "one call of memory_save" not in system:
        return None
    last = _NAME.findall(text)[-1:]
    return "memory_save", json.dumps({"text": f"They spoke of {last}.", "importance": 0.5})
